"""The live page in a real browser without a screen: each step is waited for and told, and a screenshot is taken.

The input is a live stream of a generated flight. Steps: the picture arrives and moves; classes change by typing; a
mistake is answered on the page; a class is switched off and on; who gets the overlay is told; the stream is lost and
comes back; the run itself is killed and comes back. Needs selenium, chromium and chromedriver: pip install selenium;
apt install chromium-driver.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from loopback import free_port, is_listening
from transport_sender import TransportSender

from rsseg_edge.datasets.scenes.clip import generate_clip

LOOP = 60  # frames of the flight, there and back
HEIGHT, WIDTH, RATE = 360, 640, 10
GRAB = """
const video = document.getElementById("video"), canvas = document.createElement("canvas");
canvas.width = video.naturalWidth; canvas.height = video.naturalHeight;
canvas.getContext("2d").drawImage(video, 0, 0);
return canvas.toDataURL("image/png");
"""


class Page:
    """The page as a person sees it.

    Args:
        url: of the page.
        width: of the window, CSS pixels.
        height: of the window, CSS pixels.
        dark: whether the browser asks for dark colours.
    """

    def __init__(self, url: str, width: int, height: int, *, dark: bool) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.page_load_strategy = "none"  # the picture never ends to load
        # No sandbox: it starts neither for root nor in most containers, whose /dev/shm is too small, too.
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
            options.add_argument(argument)
        options.add_argument(f"--window-size={width},{height}")
        if dark:
            options.add_argument("--force-dark-mode")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = shutil.which("chromedriver")
        if driver is None:
            raise SystemExit("error: no chromedriver here; see --help")
        self.driver: Any = webdriver.Chrome(options=options, service=Service(driver))
        self.driver.get(url)

    def text(self, name: str) -> str:
        """Of an element, by its id."""
        return str(self.driver.find_element("id", name).text)

    def classes(self) -> list[str]:
        """Names in the legend."""
        return [element.text for element in self.driver.find_elements("css selector", "#legend span")]

    def ask(self, text: str) -> None:
        """Type into the box and press the button."""
        box = self.driver.find_element("id", "text")
        box.clear()
        box.send_keys(text)
        self.driver.find_element("css selector", "#ask button").click()

    def toggle(self, name: str) -> None:
        """Click at a class in the legend."""
        self.driver.find_element("css selector", f'#legend input[data-name="{name}"]').click()

    def picture(self) -> np.ndarray:
        """uint8 [H, W, 3] BGR: what the picture shows now; of no size where there is none."""
        data = self.driver.execute_script(GRAB).partition(",")[2]
        found = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR) if data else None
        return np.zeros((0, 0, 3), np.uint8) if found is None else found

    def complaints(self) -> list[str]:
        """What the browser's console holds against the page, but for requests that a killed run could not answer."""
        lines = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        return [line for line in lines if "ERR_" not in line]


def wait(what: str, reached: Callable[[], Any], patience: float = 60) -> dict[str, Any]:
    """Wait for a step; how long it took.

    Raises:
        SystemExit: it did not come.
    """
    begin = time.monotonic()
    while time.monotonic() < begin + patience:
        try:
            if reached():
                return {"step": what, "seconds": round(time.monotonic() - begin, 1)}
        except Exception as error:  # an element that is replaced while it is looked at
            if type(error).__module__.partition(".")[0] != "selenium":
                raise
        time.sleep(0.1)
    raise SystemExit(f"error: not within {patience:g} s: {what}")


def look(page: Page) -> tuple[bool, float]:
    """Whether the legend is drawn, and how colourful the picture is: the mean distance of its channels, 0..255."""
    while not (picture := page.picture()).size:  # the browser begins to load another one
        time.sleep(0.05)
    return bool(picture[:8, :8].mean() < 60), round(float(np.ptp(picture, axis=2).mean()), 1)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--screenshot", type=Path, default=Path("live_page.png"))
    parser.add_argument("--window", default="1100x1150", metavar="WxH")
    parser.add_argument("--linger", type=float, default=8, help="seconds of the area chart in the screenshot")
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args()
    flight = [np.asarray(sample.image) for sample in generate_clip(900_001, LOOP, HEIGHT, WIDTH)]
    there_and_back = [*flight, *flight[-2:0:-1]]
    stream_port, page_port = free_port(socket.SOCK_DGRAM), free_port()
    sender = TransportSender(lambda n: there_and_back[n % len(there_and_back)], RATE, stream_port)
    sender.start()
    with tempfile.TemporaryDirectory() as out, socket.socket(type=socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        command = [sys.executable, "-I", "-c", "from rsseg_edge.cli.run import main; main()"]
        command += [f"udp://127.0.0.1:{stream_port}"]
        command += ["--model", "segearth-ov-tiny", "--fast", "--long-side", "320", "-o", out]
        command += ["--to", f"live://:{page_port}", "--to", f"udp://127.0.0.1:{receiver.getsockname()[1]}"]

        def run() -> subprocess.Popen[bytes]:
            return subprocess.Popen(command, stdout=subprocess.DEVNULL)

        process, page = run(), None
        try:
            steps = [wait("the page is served", lambda: is_listening(page_port))]
            width, height = (int(side) for side in options.window.split("x"))
            page = Page(f"http://localhost:{page_port}/", width, height, dark=options.dark)
            steps += drive(page, sender)
            process.kill()
            process.wait()
            steps.append(wait("a run that is killed is said", lambda: page.text("state") == "connection lost"))
            process = run()
            steps.append(wait("it comes back", lambda: page.text("state") == "streaming" and page.picture().size))
            page.ask("house, building; street; trees; bare earth; lake")
            wait("classes change again", lambda: "street" in page.classes())
            time.sleep(options.linger)
            page.driver.save_screenshot(str(options.screenshot))
            complaints = page.complaints()
        finally:
            process.kill()
            process.wait()
            sender.stop()
            if page is not None:
                page.driver.quit()
    print(json.dumps({"steps": steps, "complaints": complaints, "screenshot": str(options.screenshot)}, indent=1))
    if complaints:
        raise SystemExit("error: the browser complains")


def drive(page: Page, sender: TransportSender) -> list[dict[str, Any]]:
    """Everything that is done on the page of one run."""
    steps = [wait("the picture arrives", lambda: page.picture().shape[:2] == (HEIGHT, WIDTH))]
    first = page.picture()
    steps.append(wait("it moves", lambda: np.abs(page.picture().astype(int) - first).mean() > 3))
    steps.append(
        wait("its state is told", lambda: page.text("state") == "streaming" and "s old" in page.text("numbers"))
    )
    page.ask("house; street, road; trees")
    steps.append(wait("classes change by typing", lambda: page.classes()[-3:] == ["house", "street", "trees"]))
    page.ask("house; house")
    steps.append(wait("a mistake is answered", lambda: "twice" in page.text("answer")))
    names, with_all = page.classes(), look(page)
    for name in names:
        page.toggle(name)
    steps.append(wait("classes that are switched off are not drawn", lambda: not look(page)[0]))
    without = look(page)
    for name in names:
        page.toggle(name)
    steps.append(wait("and are again", lambda: look(page)[0]))
    steps[-1]["colour"] = {"with": with_all[1], "without": without[1], "again": look(page)[1]}
    steps.append(wait("a receiver is told of", lambda: re.search(r"streaming, [1-9]\d* sent", page.text("pushes"))))
    sender.paused = True
    steps.append(wait("a stream that is lost is told", lambda: page.text("state") == "lost"))
    sender.paused = False
    steps.append(wait("and comes back", lambda: page.text("state") == "streaming"))
    return steps


if __name__ == "__main__":
    main()
