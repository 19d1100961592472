"""The fixed part of the loaders' fuzzer, and its corpus."""

import pytest

from liam_core import container
from tests.native.loader_fuzz import KINDS, corpus, outcome, run


@pytest.mark.parametrize("kind", KINDS)
def test_the_corpus_is_read_or_refused_as_it_was(tmp_path, kind):
    """Valid files of the corpus are valid, and the others are refused."""
    files = corpus(kind)
    assert len(files) > 40
    for name, content in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        assert (outcome(kind, path) == "") == name.startswith("valid-"), name


@pytest.mark.parametrize("kind", KINDS)
def test_changed_files_are_read_or_refused(tmp_path, kind):
    """Thousands of changed files give valid models or a ModelFormatError, for many reasons, and nothing else."""
    found = {}
    for seed in range(25):
        run(kind, tmp_path / "file", seed=seed, count=200, found=found)
    assert "" in found
    assert len(found) > 40


def test_the_fuzzer_finds_a_rule_that_is_missing(tmp_path, monkeypatch):
    """Without one of the container's checks, a changed file gives another exception, with the file and its seed."""
    monkeypatch.setattr(container, "_are_sizes", lambda value: isinstance(value, list))
    with pytest.raises(TypeError) as caught:
        run("binary_network", tmp_path / "file", seed=1, count=3000, found={})
    assert caught.value.__notes__[-1] == f"while reading {tmp_path / 'file'}, a binary_network made with seed 1"
    assert (tmp_path / "file").exists()
