import pytest

from rsseg_edge.datasets.pattern import PathPattern, matches_any


@pytest.mark.parametrize(
    ("pattern", "path", "fields"),
    [
        ("Tile {area:d}/{stem}.jpg", "Tile 3/part_001.jpg", {"area": "3", "stem": "part_001"}),
        ("Tile {area:d}/{stem}.jpg", "Tile x/part_001.jpg", None),
        ("{a}/{a}_{b}.png", "seq1/seq1_000100.png", {"a": "seq1", "b": "000100"}),
        ("{a}/{a}_{b}.png", "seq1/seq2_000100.png", None),
        ("P{n:d}.png", "P0002_instance_color_RGB.png", None),
        ("a.b/{n}.png", "axb/1.png", None),
        ("{n}.png", "deeper/1.png", None),
    ],
)
def test_fields_are_taken_from_a_path_or_it_does_not_match(pattern, path, fields):
    assert PathPattern(pattern).match(path) == fields


def test_find_and_match_agree(tmp_path):
    for name in ("b/2.png", "a/1.png", "a/1.jpg", "a/deep/3.png", "4.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    pattern = PathPattern("{folder}/{n:d}.png")
    found = list(pattern.find(tmp_path))
    assert [path.relative_to(tmp_path).as_posix() for path, _ in found] == ["a/1.png", "b/2.png"]
    assert all(pattern.match(path.relative_to(tmp_path).as_posix()) == fields for path, fields in found)


@pytest.mark.parametrize("bad", ["/root/{n}.png", "../{n}.png", "{n.png", "{n:x}.png", "a\\{n}.png"])
def test_a_pattern_that_leaves_the_root_or_is_malformed_is_refused(bad):
    with pytest.raises(ValueError, match="pattern"):
        PathPattern(bad)


def test_fields_compare_without_leading_zeros_and_with_wildcards():
    assert matches_any("007", ("7",))
    assert matches_any("7", ("3", "007"))
    assert not matches_any("70", ("7",))
    assert matches_any("1238425", ("123842[4-7]",))
    assert not matches_any("1238428", ("123842[4-7]",))
    assert matches_any("north_3", ("north_*",))


def test_a_sample_is_named_after_the_parts_that_hold_fields():
    pattern = PathPattern("Train/{area}/images_png/{tile}.png")
    assert pattern.sample_name({"area": "Rural", "tile": "1366"}) == "Rural_1366"
