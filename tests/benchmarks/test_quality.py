"""make bench-quality at its smallest: to its last line; a second start trains nothing."""

import json

import pytest

pytestmark = pytest.mark.torch

SMALL = ["--seeds", "3", "--items", "20", "--photos", "4", "--epochs", "1", "--side", "32"]


def test_both_recipes_are_compared_once(tmp_path, capsys):
    import torch

    from benchmarks import quality

    torch.set_num_threads(1)
    quality.main([*SMALL, "--folder", str(tmp_path)])
    first = capsys.readouterr()
    quality.main([*SMALL, "--folder", str(tmp_path)])
    second = capsys.readouterr()

    figures = json.loads(first.out.splitlines()[-1])
    assert figures["benchmark"] == "quality"
    assert figures["recall_at_1_ratio"] > 0
    assert set(figures["l2_and_pca"]["retrieval"]) >= {"as they come", "l2", "l2, pca 64"}
    assert second.err.count("done before") == 2
    assert json.loads(second.out.splitlines()[-1])["by_recipe"] == figures["by_recipe"]


def test_without_a_gpu_it_says_so_plainly(capsys):
    import torch

    from benchmarks import quality

    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(SystemExit) as ended:
        quality.main(["--gpu"])

    assert ended.value.code == 3
    assert "no GPU here" in capsys.readouterr().out
