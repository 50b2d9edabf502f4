from search_service.residency import resident_bytes


def test_a_file_that_was_just_written_is_in_memory(tmp_path):
    path = tmp_path / "blob"
    path.write_bytes(b"x" * 100_001)

    assert resident_bytes(path) == 100_001


def test_what_is_empty_or_gone_takes_nothing(tmp_path):
    (tmp_path / "empty").touch()

    assert resident_bytes(tmp_path / "empty") == 0
    assert resident_bytes(tmp_path / "gone") == 0
