import csv
import json

import numpy as np
import pytest
from lookalike_client.testing import Refusal
from PIL import Image


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    for name in ("d-1/front.jpg", "d-1/back.JPEG", "d-2/front.png", "d-3/front.webp"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (folder / "notes.txt").write_text("not a photo")
    return folder


@pytest.fixture
def out(tmp_path):
    return tmp_path / "vectors"


def read_csv(path):
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_folder_becomes_vectors_and_rows_in_one_order(
    lookalike_command, reachable, services, photos, out
):
    result = lookalike_command("embed", photos, "-o", out, "--images-per-call", 2, *reachable)

    assert result.exit_code == 0, result.output
    vectors = np.load(out / "vectors.npy", allow_pickle=False)
    rows = read_csv(out / "photos.csv")
    assert [row["photo_id"] for row in rows] == [
        "d-1/back.JPEG",
        "d-1/front.jpg",
        "d-2/front.png",
        "d-3/front.webp",
    ]
    for vector, row in zip(vectors, rows, strict=True):
        assert vector.tobytes() == services.embedder.embedding(row["photo_id"].encode()).values
        assert row["item_id"] == row["photo_id"]


def test_calls_are_bulk_and_of_the_size_asked_for(
    lookalike_command, reachable, services, photos, out
):
    lookalike_command("embed", photos, "-o", out, "--images-per-call", 3, *reachable)

    sizes = sorted(len(request.images) for request in services.embedder.requests)
    assert sizes == [1, 3]
    assert {request.priority for request in services.embedder.requests} == {2}


def test_the_space_is_written_last_and_names_the_model(
    lookalike_command, reachable, services, photos, out
):
    lookalike_command("embed", photos, "-o", out, *reachable)

    space = json.loads((out / "space.json").read_text())
    assert space["space_id"] == services.embedder.space_id
    assert (space["dimension"], space["photos"]) == (64, 4)


def test_a_failed_photo_is_told_in_the_file_the_message_and_the_exit_code(
    lookalike_command, reachable, photos, out
):
    (photos / "d-2" / "front.png").write_bytes(b"")

    result = lookalike_command("embed", photos, "-o", out, *reachable)

    assert result.exit_code == 1
    assert "photos without a vector: 1;" in result.output
    [failed] = read_csv(out / "failed.csv")
    assert (failed["photo_id"], failed["reason"]) == ("d-2/front.png", "UNSUPPORTED_IMAGE")
    assert len(np.load(out / "vectors.npy")) == len(read_csv(out / "photos.csv")) == 3


def test_as_many_failures_as_are_allowed_for_end_well(lookalike_command, reachable, photos, out):
    (photos / "d-2" / "front.png").write_bytes(b"")

    result = lookalike_command("embed", photos, "-o", out, "--max-failed", "1", *reachable)

    assert result.exit_code == 0
    assert "photos without a vector: 1;" in result.output
    assert len(read_csv(out / "failed.csv")) == 1


def test_the_catalogues_own_columns_are_carried_along(
    lookalike_command, reachable, photos, out, tmp_path, printed
):
    table = tmp_path / "catalogue.csv"
    table.write_text(
        "photo_id,item_id,category\n"
        'd-1/front.jpg,d-1,"dress, long"\n'
        "d-1/back.JPEG,d-1,dress\n"
        "d-9/gone.jpg,d-9,shirt\n"
    )

    result = lookalike_command("embed", photos, "-o", out, "--table", table, "--json", *reachable)

    rows = {row["photo_id"]: row for row in read_csv(out / "photos.csv")}
    assert rows["d-1/front.jpg"]["item_id"] == "d-1"
    assert rows["d-1/front.jpg"]["category"] == "dress, long"
    assert rows["d-2/front.png"]["item_id"] == "d-2/front.png"
    assert rows["d-2/front.png"]["category"] == ""
    assert printed(result)["failures"][0]["reason"] == "NO_SUCH_FILE"
    assert result.exit_code == 1


def test_a_box_in_the_table_is_the_part_that_is_embedded(
    lookalike_command, reachable, services, out, tmp_path
):
    folder = tmp_path / "boxed"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (40, 20)).save(folder / name)
    table = tmp_path / "catalogue.csv"
    table.write_text("photo_id,box,colour\na.png,10 5 40 20,red\nb.png,,red\nc.png,50 0 60 9,red\n")

    result = lookalike_command("embed", folder, "-o", out, "--table", table, *reachable)

    [request] = services.embedder.requests
    [[region], none] = [image.regions for image in request.images]
    assert [region.left * 40, region.top * 20] == pytest.approx([10, 5], abs=2e-3)
    assert [region.right, region.bottom] == pytest.approx([1, 1], abs=1e-4)
    assert list(none) == []
    assert list(read_csv(out / "photos.csv")[0]) == ["photo_id", "item_id", "colour"]
    assert "c.png: INVALID_REGION: box: expected left < right" in result.output


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("path,item_id\n", "expected a column photo_id, got path, item_id"),
        ("photo_id,item_id\na.jpg,1\na.jpg,2\n", "line 3: expected a photo_id of its own"),
        ("photo_id,box\na.jpg,1 2 3\n", "line 2, box: expected left top right bottom in pixels"),
        ("photo_id,item_id\na.jpg\n", "line 2: expected a photo_id of its own and a value"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_by_its_line(
    lookalike_command, reachable, photos, out, tmp_path, table, said
):
    (tmp_path / "catalogue.csv").write_text(table)

    result = lookalike_command(
        "embed", photos, "-o", out, "--table", tmp_path / "catalogue.csv", *reachable
    )

    assert result.exit_code == 1
    assert said in result.output
    assert not out.exists()


def test_two_photos_of_one_name_are_refused(lookalike_command, reachable, photos, out):
    result = lookalike_command(
        "embed", photos / "d-1" / "front.jpg", photos / "d-1", "-o", out, *reachable
    )

    assert result.exit_code == 1
    assert "embed their common folder instead" in result.output


def test_a_folder_without_photos_is_refused(lookalike_command, reachable, tmp_path, out):
    empty = tmp_path / "empty"
    empty.mkdir()

    result = lookalike_command("embed", empty, "-o", out, *reachable)

    assert f"{empty}: expected image files" in result.output


def test_an_embedder_that_refuses_for_a_while_is_asked_again(
    lookalike_command, reachable, services, photos, out
):
    refusal = Refusal(reason="OVERLOADED", retry_after_seconds=0.01)
    services.embedder.refusals.extend([refusal] * 5)

    result = lookalike_command("embed", photos, "-o", out, *reachable)

    assert result.exit_code == 0, result.output
    assert len(np.load(out / "vectors.npy")) == 4


def test_a_broken_run_leaves_no_space_behind(lookalike_command, reachable, services, photos, out):
    lookalike_command("embed", photos, "-o", out, *reachable)
    services.embedder.refusals.append(Refusal(reason="INTERNAL"))

    result = lookalike_command("embed", photos, "-o", out, *reachable)

    assert result.exit_code == 1
    assert not (out / "space.json").exists()


def test_a_photo_over_the_limit_is_not_sent(lookalike_command, reachable, services, photos, out):
    with (photos / "d-2" / "front.png").open("wb") as large:
        large.truncate(20_000_001)

    lookalike_command("embed", photos, "-o", out, *reachable)

    [failed] = read_csv(out / "failed.csv")
    assert (failed["photo_id"], failed["reason"]) == ("d-2/front.png", "IMAGE_TOO_LARGE")
    assert sum(len(request.images) for request in services.embedder.requests) == 3


def test_vectors_of_two_models_are_never_mixed(
    lookalike_command, reachable, services, photos, out, monkeypatch
):
    answer = services.embedder.embedding

    def by_turns(content):
        embedding = answer(content)
        if content == b"d-3/front.webp":
            embedding.space_id = "0" * 64
        return embedding

    services.embedder.embedding = by_turns

    result = lookalike_command("embed", photos, "-o", out, *reachable)

    assert result.exit_code == 1
    assert "for the whole catalogue, got 000" in result.output
    assert not (out / "space.json").exists()
