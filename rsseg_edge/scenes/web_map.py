"""A page with the scene and its classes, to be opened by a double click: everything is in it, nothing is fetched."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence

import numpy as np

from rsseg_edge.scenes.areas import ClassArea
from rsseg_edge.scenes.georeference import GeoReference
from rsseg_edge.scenes.quicklook import QuickLook
from rsseg_edge.types import ClassTable, UInt8Array

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>$title</title>
<style>
html,body{margin:0;height:100%;background:#181818;color:#ebebeb;font:14px/1.4 system-ui,sans-serif}
#view{position:absolute;inset:0;overflow:hidden;cursor:grab;touch-action:none}
#view img{position:absolute;left:0;top:0;transform-origin:0 0;image-rendering:pixelated;user-select:none}
#panel{position:absolute;top:10px;right:10px;max-width:22em;max-height:90%;overflow:auto;background:#181818e6;
border-radius:6px;padding:10px 14px}
h1{font-size:15px;margin:0 0 6px;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}td{padding:1px 6px 1px 0}td.n{text-align:right;white-space:nowrap}
i{display:inline-block;width:12px;height:12px;border-radius:2px;vertical-align:-1px}
#place{position:absolute;left:10px;bottom:10px;background:#181818e6;border-radius:6px;padding:4px 10px}
input[type=range]{width:100%}label{cursor:pointer}
</style>
<div id="view"><img id="image" alt="scene"><img id="classes" alt="classes"></div>
<div id="panel"><h1>$title</h1><label>classes <input id="alpha" type="range" min="0" max="100" value="45"></label>
<table>$rows</table></div><div id="place"></div>
<script>
const data=$data;
const view=document.getElementById('view'),place=document.getElementById('place');
const image=document.getElementById('image'),layer=document.getElementById('classes');
const source=new Image();let scale=1,x=0,y=0,drag=null;
image.src=data.image;
function paint(){const c=document.createElement('canvas');c.width=data.width;c.height=data.height;
const g=c.getContext('2d');g.drawImage(source,0,0);const p=g.getImageData(0,0,c.width,c.height),d=p.data;
const on=data.classes.map((_,k)=>document.getElementById('c'+k).checked);
for(let i=0;i<d.length;i+=4){const k=d[i];if(k<on.length&&on[k]){const [r,q,b]=data.classes[k].color;
d[i]=r;d[i+1]=q;d[i+2]=b;d[i+3]=255}else d[i+3]=0}
g.putImageData(p,0,0);layer.src=c.toDataURL()}
function move(){for(const e of [image,layer])e.style.transform=`translate(${x}px,${y}px) scale(${scale})`}
function fit(){const room=innerWidth>700?innerWidth-document.getElementById('panel').offsetWidth-20:innerWidth;
scale=Math.min(room/data.width,innerHeight/data.height);x=(room-scale*data.width)/2;y=(innerHeight-scale*data.height)/2;move()}
function where(px,py){const n=data.grid.length-1,u=Math.min(Math.max(px/data.width,0),1)*n;
const v=Math.min(Math.max(py/data.height,0),1)*n,i=Math.min(Math.floor(u),n-1),j=Math.min(Math.floor(v),n-1);
const a=u-i,b=v-j,g=data.grid,m=k=>(1-a)*(1-b)*g[j][i][k]+a*(1-b)*g[j][i+1][k]+(1-a)*b*g[j+1][i][k]+a*b*g[j+1][i+1][k];
return [m(0),m(1)]}
view.addEventListener('wheel',e=>{e.preventDefault();const f=Math.exp(-e.deltaY/400);
x=e.clientX-(e.clientX-x)*f;y=e.clientY-(e.clientY-y)*f;scale*=f;move()},{passive:false});
view.addEventListener('pointerdown',e=>{drag=[e.clientX-x,e.clientY-y];view.setPointerCapture(e.pointerId)});
view.addEventListener('pointerup',()=>{drag=null});
view.addEventListener('pointermove',e=>{if(drag){x=e.clientX-drag[0];y=e.clientY-drag[1];move()}
const [lon,lat]=where((e.clientX-x)/scale,(e.clientY-y)/scale);place.textContent=lat.toFixed(6)+', '+lon.toFixed(6)});
document.getElementById('alpha').addEventListener('input',e=>{layer.style.opacity=e.target.value/100});
layer.style.opacity=0.45;data.classes.forEach((_,k)=>document.getElementById('c'+k).addEventListener('change',paint));
source.onload=paint;source.src=data.map;addEventListener('resize',fit);fit();
</script></html>
"""


def web_map(name: str, look: QuickLook, geo: GeoReference, table: ClassTable, areas: Sequence[ClassArea]) -> str:
    """HTML: the quick-look, each class to be switched on and off, areas, and the place under the pointer.

    Args:
        name: of the scene.
        look: its picture and class map.
        geo: its grid.
        table: names and colours; the background is switched off at first.
        areas: of every class.
    """
    n = 9
    v, u = np.mgrid[0:n, 0:n] / (n - 1)
    grid = geo.degrees((u * geo.width).ravel(), (v * geo.height).ravel()).reshape(n, n, 2)
    rows = "".join(
        f'<tr><td><label><input type="checkbox" id="c{k}"{"" if k == table.background else " checked"}> '
        f'<i style="background:rgb{area.color}"></i> {html.escape(area.name)}</label></td>'
        f'<td class="n">{100 * area.share:.1f} %</td><td class="n">{_area(area.area_m2)}</td></tr>'
        for k, area in enumerate(areas)
    )
    data = {
        "width": look.image.shape[1],
        "height": look.image.shape[0],
        "image": _png(look.image[..., ::-1]),
        "map": _png(look.class_map),
        "classes": [{"color": color} for color in table.colors],
        "grid": grid.round(7).tolist(),
    }
    page = _PAGE.replace("$title", html.escape(name)).replace("$rows", rows)
    return page.replace("$data", json.dumps(data).replace("</", "<\\/"))


def _area(square_metres: float) -> str:
    if square_metres >= 1e6:
        return f"{square_metres / 1e6:,.2f} km²"
    if square_metres >= 1e4:
        return f"{square_metres / 1e4:,.2f} ha"
    return f"{square_metres:,.0f} m²"


def _png(image: UInt8Array) -> str:
    import cv2

    _, data = cv2.imencode(".png", np.ascontiguousarray(image))
    return f"data:image/png;base64,{base64.b64encode(data.tobytes()).decode()}"
