"""Files that appear at once: whatever they are called, and wherever a link leads."""

from __future__ import annotations

import pytest

from toppose.results.files import sweep, whole


@pytest.mark.parametrize("name", ["a.json", "n" * 250 + ".json", "é" * 125 + ".json"])
def test_any_name_that_is_allowed_is_written(tmp_path, name):
    with whole(tmp_path / name) as part:
        part.write_text("whole")
        assert not (tmp_path / name).exists()
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "whole"
    part.write_text("what a kill left")
    sweep(tmp_path, name)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_what_fails_leaves_what_was_there(tmp_path):
    (tmp_path / "a").write_text("before")
    with pytest.raises(ZeroDivisionError), whole(tmp_path / "a") as part:  # noqa: PT012  # what fails stands inside
        part.write_text("half")
        raise ZeroDivisionError
    assert [p.read_text() for p in tmp_path.iterdir()] == ["before"]


def test_a_link_that_leads_to_itself_is_written_over(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with whole(tmp_path / "loop") as part:
        part.write_text("whole")
    assert (tmp_path / "loop").read_text() == "whole"
