import pytest
from PIL import Image


@pytest.fixture
def photos(tmp_path):
    """Ten hats, three shoes, one photo of no class; a cut file, and a copy."""
    folder = tmp_path / "photos"
    names = [*(f"hats/{n}.png" for n in range(10)), *(f"shoes/{n}.png" for n in range(3)), "a.png"]
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 40), (15 * number, 100, 200)).save(folder / name)
    (folder / "hats" / "cut.png").write_bytes((folder / "hats" / "0.png").read_bytes()[:60])
    (folder / "shoes" / "copy.png").write_bytes((folder / "shoes" / "1.png").read_bytes())
    return folder


def test_a_catalogue_is_counted_by_split_and_by_class(lookalike_command, photos):
    result = lookalike_command("data", "show", photos)
    said = result.output

    assert result.exit_code == 0, said
    assert f"{photos}: folder\n15 photos of 15 items in 2 classes; damaged files: 1" in said
    assert "to learn from: classes alone" in said
    rows = [line.split() for line in said.splitlines()]
    assert ["train", "12", "12", "2"] in rows
    assert ["hats", "10", "█" * 30] in rows
    assert ["shoes", "4", "█" * 12] in rows
    assert ["no", "class", "known", "1"] in rows


def test_damage_and_copies_are_named(lookalike_command, photos):
    said = lookalike_command("data", "show", photos).output

    assert "damaged, left out: 1" in said
    assert f"{photos / 'hats' / 'cut.png'}: content: expected" in said
    assert "shoes/1.png (test) = shoes/copy.png (train)" in said


def test_classes_beyond_the_top_are_summed_up(lookalike_command, photos):
    said = lookalike_command("data", "show", photos, "--top", 1).output

    assert ["1", "more,", "4", "to", "4", "each", "4"] in [
        line.split() for line in said.splitlines()
    ]


def test_json_has_all_of_it(lookalike_command, photos, printed):
    told = printed(lookalike_command("data", "show", photos, "--json"))

    assert (told["format"], told["labels"], told["photos"]) == ("folder", ["class"], 15)
    assert told["classes"] == {"hats": 10, "shoes": 4}
    assert told["splits"]["train"] == {"photos": 12, "items": 12, "classes": 2}
    assert [each["path"] for each in told["damaged"]] == [str(photos / "hats" / "cut.png")]
    assert [photo["split"] for photo in told["copies"][0]] == ["test", "train"]


def test_the_format_may_be_said(lookalike_command, photos):
    result = lookalike_command("data", "show", photos, "--format", "deepfashion-category")

    assert result.exit_code == 2
    assert "list_category_cloth.txt: expected it in" in result.output
    assert "Traceback" not in result.output


def test_a_table_is_shown_with_its_notes_and_boxes(lookalike_command, photos):
    table = photos / "table.csv"
    table.write_text("path,item_id,price,box\nhats/0.png,h,9,1 2 30 40\nhats/1.png,h,9,\n")

    said = lookalike_command("data", "show", table).output

    assert "to learn from: items alone" in said
    assert "boxes: 1 of 2 photos" in said
    assert "note: columns that are not used: price" in said
    assert "boxes:" not in lookalike_command("data", "show", table, "--no-boxes").output


def test_a_malformed_table_ends_with_code_2_and_one_line(lookalike_command, photos):
    table = photos / "table.csv"
    table.write_text("path,split\nhats/0.png,valid\n")

    result = lookalike_command("data", "show", table)

    assert result.exit_code == 2
    assert f"{table}, line 2, split: expected train or val" in result.output


def test_a_sheet_has_a_row_for_each_class(lookalike_command, photos, tmp_path):
    result = lookalike_command("data", "show", photos, "--sheet", tmp_path / "sheet.png")

    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.height == 72 + 3 * 100 - 4
        assert sheet.getpixel((186 + 5, 56 + 5))[1:] == (100, 200)


@pytest.mark.parametrize("name", ["sheet.txt", "nowhere/sheet.png"])
def test_a_sheet_that_cannot_be_written_is_refused_before_anything_is_read(
    lookalike_command, tmp_path, name
):
    result = lookalike_command("data", "show", tmp_path, "--sheet", tmp_path / name)

    assert result.exit_code == 2
    assert "Invalid value for '--sheet': expected a" in result.output


def test_a_sheet_that_the_disk_has_no_room_for_is_one_line(lookalike_command, photos, tmp_path):
    (tmp_path / "sheet.png").symlink_to("/dev/full")

    result = lookalike_command("data", "show", photos, "--sheet", tmp_path / "sheet.png")

    assert result.exit_code == 2
    assert "No space left on device" in result.stderr
