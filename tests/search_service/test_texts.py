import pyarrow as pa
import pytest

from search_service.texts import Texts

WORDS = ["", "a", "dress-001", "größe", "日本"]


def test_texts_are_those_of_the_array():
    texts = Texts(pa.array(WORDS))

    assert [texts[i] for i in range(len(texts))] == WORDS
    assert texts.encoded(3) == "größe".encode()


def test_a_slice_of_an_array_starts_at_its_own_first():
    texts = Texts(pa.array(WORDS).slice(2, 2))

    assert [texts[i] for i in range(len(texts))] == WORDS[2:4]


@pytest.mark.parametrize("place", [-1, 5])
def test_there_is_nothing_beyond_the_ends(place):
    with pytest.raises(IndexError):
        Texts(pa.array(WORDS))[place]


def test_no_texts_at_all():
    assert len(Texts(pa.array([], pa.string()))) == 0


def test_several_at_once_are_those_of_the_array():
    texts = Texts(pa.array(["left out", *WORDS]).slice(1))
    places = [3, 0, len(WORDS) - 1, 3]
    assert texts.at(places) == [WORDS[place] for place in places]
    assert Texts(pa.array(WORDS)).at(places) == [WORDS[place] for place in places]
    assert texts.at([]) == []


@pytest.mark.parametrize("place", [-1, len(WORDS)])
def test_there_is_no_text_beyond_the_ends(place):
    with pytest.raises(IndexError):
        Texts(pa.array(WORDS)).at([0, place])
