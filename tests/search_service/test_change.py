"""Changes of a published index: a delta answers as a build of the whole would."""

import threading
import zlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_service.build import (
    Source,
    SourceError,
    add,
    build,
    compact,
    hold,
    listing,
    prune,
    publish,
    remove,
    roll_back,
)
from search_service.generation import Generation
from search_service.query import ByItem, ByVector, Options
from search_service.store import Store, StoreError

SPACE = "a" * 64
OTHER_SPACE = "b" * 64
DIMENSION = 16


def source(items, *, space_id=SPACE, **columns):
    """items: {item id: (photos, seed)}; of another seed an item is another one."""
    photos = [
        (item, f"{item}/{photo}") for item, (count, _) in items.items() for photo in range(count)
    ]
    colours = [("red", "blue", None)[(len(item) + items[item][1]) % 3] for item, _ in photos]
    table = {
        "item_id": pa.array([item for item, _ in photos], pa.string()),
        "photo_id": pa.array([photo for _, photo in photos], pa.string()),
        "colour": pa.array(colours, pa.string()),
        **columns,
    }
    drawn = [drawn_for(item, *each) for item, each in items.items()]
    return Source(np.concatenate(drawn).astype(np.float32), pa.table(table), space_id)


def drawn_for(item, photos, seed):
    generator = np.random.default_rng([seed, zlib.crc32(item.encode())])
    return generator.normal(size=(photos, DIMENSION))


def many(count, prefix="m", photos=1, seed=0):
    return {f"{prefix}{i:05d}": (photos, seed) for i in range(count)}


@pytest.fixture
def publish_anew(tmp_path, quick):
    """publish_anew(store, items, index): built as a whole and published."""

    def publish_anew(store, items, index="dresses", **options):
        out = tmp_path / f"built-{len(list(tmp_path.iterdir()))}"
        build(source(items), out, quick(**{"engine": "auto", **options}))
        return publish(store, index, out)

    return publish_anew


def served(store, index="dresses"):
    """The generation that CURRENT names, from the store's own files."""
    (named,) = [each for each in listing(store, index) if each.is_current]
    return Generation.open(named.manifest, named.sha256, store.root / "blobs")


def answers(generation, targets, recall=1.0, k=50):
    options = Options(k=k, photos_per_item=3, filters=(), recall=recall, include_attributes=True)
    return [
        [
            (hit.item_id, hit.attributes, [photo.photo_id for photo in hit.photos])
            for hit in each.hits
        ]
        for each in generation.nearest(targets, options).answers
    ]


def as_vectors(count=8):
    drawn = np.random.default_rng(77).normal(size=(count, DIMENSION)).astype("<f4")
    return [ByVector(vector.tobytes(), SPACE, "query") for vector in drawn]


names = st.sampled_from([f"i{n}" * (1 + n % 3) for n in range(12)])
changes = st.one_of(
    st.tuples(st.just("add"), st.dictionaries(names, st.integers(1, 3), min_size=1)),
    st.tuples(st.just("remove"), st.sets(names, min_size=1)),
    st.tuples(st.just("compact"), st.none()),
)


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(changes, min_size=1, max_size=6))
def test_after_any_changes_the_answers_are_those_of_a_build_of_the_whole(
    steps, tmp_path_factory, quick
):
    folder = tmp_path_factory.mktemp("changes")
    store = Store(folder)
    there = {"i0": (2, 0), "i1i1": (1, 0), "stays": (2, 0)}
    build(source(there), folder / "built", quick(engine="auto"))
    publish(store, "dresses", folder / "built")
    for seed, (verb, what) in enumerate(steps, 1):
        if verb == "add":
            new = {item: (photos, seed) for item, photos in what.items()}
            add(store, "dresses", source(new))
            there |= new
        elif verb == "remove":
            remove(store, "dresses", sorted(what))
            there = {item: each for item, each in there.items() if item not in what}
        else:
            compact(store, "dresses")
    build(source(there), folder / "anew", quick(engine="auto"))
    publish(store, "anew", folder / "anew")
    targets = [*as_vectors(), *(ByItem(item, "query") for item in there)]

    changed = served(store)

    photos = sum(count for count, _ in there.values())
    assert (changed.manifest.items, changed.manifest.photos) == (len(there), photos)
    assert answers(changed, targets) == answers(served(store, "anew"), targets)


@pytest.mark.parametrize("engine", ["annoy", "exact"])
def test_a_large_delta_has_the_bases_engine_and_is_found_through_it(store, publish_anew, engine):
    publish_anew(store, many(2500), engine=engine, widths=(8,))
    new = many(2100, seed=1) | many(50, "new")

    changed = add(store, "dresses", source(new))
    generation = served(store)

    assert (changed.added, changed.changed) == (50, 2100)
    base, delta = generation.manifest.segments
    assert (base.engine, delta.engine) == (engine, engine)
    assert delta.blobs.get("projection") == base.blobs.get("projection")
    targets = as_vectors(30)
    wanted, found = (answers(generation, targets, recall, k=10) for recall in (1.0, 0.95))
    shares = [
        len({h[0] for h in w} & {h[0] for h in f}) / 10 for w, f in zip(wanted, found, strict=True)
    ]
    assert np.mean(shares) > 0.9
    assert generation.nearest(targets, Options(10, 1, (), 0.95, False)).engine == engine


def test_where_nearly_all_is_removed_the_rest_is_compared(store, publish_anew):
    publish_anew(store, many(2500), engine="annoy", widths=(8,))
    remove(store, "dresses", list(many(2450)))

    found = served(store).nearest(as_vectors(3), Options(10, 1, (), 0.99, False))

    assert (found.engine, found.effort) == ("exact", 0)
    assert all(len(each.hits) == 10 for each in found.answers)


def test_a_change_writes_nothing_of_the_base_again(store, publish_anew):
    publish_anew(store, many(40))
    before = set(store.names("blobs"))

    changed = add(store, "dresses", source(many(2, "new")))

    manifest = changed.published.manifest
    assert len(set(store.names("blobs")) - before) == 4  # vectors, items, photos, golden
    assert set(manifest.base.blobs.values()) <= set(manifest.blobs().values())
    assert manifest.dead is None
    assert manifest.parent.number == 1
    assert manifest.changed_share == 0.05


def test_one_delta_holds_all_changes_since_the_build(store, publish_anew):
    publish_anew(store, many(40))
    add(store, "dresses", source(many(3, "new")))
    add(store, "dresses", source({"new00001": (2, 9), "m00007": (1, 9)}))
    remove(store, "dresses", ["new00002", "m00008", "m00009"])

    manifest = served(store).manifest

    assert (manifest.delta.items, manifest.delta.photos) == (3, 4)
    assert (manifest.dead.items, manifest.dead.photos) == (3, 3)
    assert manifest.items == 40 + 3 - 3


def test_what_is_removed_is_gone_whoever_asks(store, publish_anew):
    publish_anew(store, many(40))
    add(store, "dresses", source(many(3, "new")))

    (changed,) = remove(store, "dresses", ["m00007", "new00001", "never there"])

    segments = served(store).segments
    assert (changed.removed, changed.unknown) == (2, 1)
    assert segments.find_item("m00007") is None
    assert segments.find_item("new00001") is None
    assert segments.find_items(["m00007", "new00001"] * 500).tolist() == []
    assert segments.find_item("new00002") is not None
    hits = {hit[0] for each in answers(served(store), as_vectors()) for hit in each}
    assert not hits & {"m00007", "new00001"}


def test_a_delta_that_loses_nothing_is_not_written_again(store, publish_anew):
    publish_anew(store, many(40))
    before = add(store, "dresses", source(many(3, "new"))).published.manifest
    blobs = set(store.names("blobs"))

    remove(store, "dresses", ["m00007"])

    assert served(store).manifest.delta == before.delta
    assert len(set(store.names("blobs")) - blobs) == 1  # the bitmap


def test_removing_what_is_not_there_publishes_nothing(store, publish_anew):
    publish_anew(store, many(5))

    (changed,) = remove(store, "dresses", ["never there"])

    assert changed.published is None
    assert [each.number for each in listing(store, "dresses")] == [1]


def test_an_emptied_delta_goes_and_the_last_item_stays(store, publish_anew):
    publish_anew(store, many(3))
    add(store, "dresses", source(many(1, "new")))
    remove(store, "dresses", ["new00000", "m00000"])
    assert served(store).manifest.delta is None

    with pytest.raises(SourceError, match="expected at least one to stay in dresses"):
        remove(store, "dresses", list(many(3)))

    add(store, "dresses", source(dict.fromkeys(many(3), (1, 5))))
    assert served(store).manifest.items == 3  # all of the base is dead


@pytest.mark.parametrize("serve", [True, False])
def test_a_change_of_what_is_rolled_back_meanwhile_is_not_written(store, publish_anew, serve):
    class Racing(Store):
        def put_blob(self, path):
            roll_back(store, "dresses", to=1)
            return super().put_blob(path)

    publish_anew(store, many(5))
    publish_anew(store, many(6))

    with pytest.raises(StoreError, match="expected CURRENT at 2, got it moved: try again"):
        add(Racing(store.root), "dresses", source(many(1, "new")), serve=serve)
    assert [each.number for each in listing(store, "dresses")] == [2, 1]
    assert served(store).manifest.number == 1


def test_a_removal_that_one_space_refuses_is_made_in_none(store, publish_anew, tmp_path, quick):
    publish_anew(store, many(5))
    build(source(many(2), space_id=OTHER_SPACE), tmp_path / "other", quick(engine="auto"))
    publish(store, "dresses", tmp_path / "other")

    with pytest.raises(SourceError, match="expected at least one to stay in dresses"):
        remove(store, "dresses", list(many(2)))

    assert [each.number for each in listing(store, "dresses")] == [2, 1]


def test_what_stands_on_all_dimensions_does_so_when_it_is_compacted(store, tmp_path, quick):
    def wide(prefix, count):  # wide enough for a projection to be chosen
        names = [f"{prefix}{number}" for number in range(count)]
        near = np.random.default_rng(0).normal(size=(count, 4)) @ np.eye(4, 64)
        return Source(near.astype(np.float32), pa.table({"photo_id": names}), SPACE)

    build(wide("a", 2_100), tmp_path / "built", quick(engine="annoy", widths=(0,)))
    publish(store, "dresses", tmp_path / "built")
    add(store, "dresses", wide("b", 4))

    (published,) = compact(store, "dresses")

    assert (published.manifest.base.engine, published.manifest.base.width) == ("annoy", 0)


def test_compacting_leaves_one_segment_and_nothing_dead(store, publish_anew):
    publish_anew(store, many(60), engine="annoy", widths=(8,))
    add(store, "dresses", source(many(4, "new")))
    before = answers(served(store), as_vectors())

    (published,) = compact(store, "dresses")

    assert (len(published.manifest.segments), published.manifest.dead) == (1, None)
    assert answers(served(store), as_vectors()) == before
    assert compact(store, "dresses") == []


def test_what_the_index_cannot_take_is_refused_by_name(store, publish_anew):
    publish_anew(store, many(5, photos=2))
    new = many(1, "new")

    with pytest.raises(SourceError, match="got size: a new attribute takes a build"):
        add(store, "dresses", source(new, size=pa.array([1])))
    with pytest.raises(SourceError, match="colour: expected string, got"):
        add(store, "dresses", source(new, colour=pa.array([["red"]])))
    with pytest.raises(SourceError, match="space_id: expected one that dresses serves"):
        add(store, "dresses", source(new, space_id=OTHER_SPACE))
    with pytest.raises(SourceError, match=r"photo_id: .* got m00002/1, which item m00002 has"):
        add(store, "dresses", source(new, photo_id=pa.array(["m00002/1"])))
    add(store, "dresses", source(many(1, "newer")))
    with pytest.raises(SourceError, match="photo_id: expected each id once, got 'newer00000/0'"):
        add(store, "dresses", source(new, photo_id=pa.array(["newer00000/0"])))
    narrow = Source(source(new).vectors[:, :8], source(new).photos, SPACE)
    with pytest.raises(SourceError, match="expected 16 dimensions, got 8"):
        add(store, "dresses", narrow)
    with pytest.raises(StoreError, match=r"expected a published one \(dresses\), got shoes"):
        add(store, "shoes", source(new))
    assert store.names("indexes") == ["dresses"]
    assert [each.number for each in listing(store, "dresses")] == [2, 1]


def test_attributes_that_the_new_items_lack_are_missing(store, publish_anew):
    publish_anew(store, many(5))
    one = source(many(1, "new"))

    add(store, "dresses", Source(one.vectors, one.photos.drop_columns(["colour"]), SPACE))

    segments = served(store).segments
    assert dict(segments.attributes(segments.find_item("new00000"))) == {}


def test_no_change_is_made_of_an_index_on_hold(store, publish_anew):
    publish_anew(store, many(5))
    hold(store, "dresses", "the shoes are lost")

    for change in (
        lambda: add(store, "dresses", source(many(1, "new"))),
        lambda: remove(store, "dresses", ["m00001"]),
        lambda: compact(store, "dresses"),
    ):
        with pytest.raises(StoreError, match=r"expected no hold, got one since .*\(the shoes"):
            change()


def test_changes_at_once_lose_none(store, publish_anew):
    publish_anew(store, many(5))
    threads = [
        threading.Thread(target=add, args=(store, "dresses", source(many(2, f"new{i}-"))))
        for i in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert served(store).manifest.items == 5 + 12
    assert [each.number for each in listing(store, "dresses")] == list(range(7, 0, -1))


def test_a_change_can_be_rolled_back_and_what_it_needs_is_not_pruned(store, publish_anew):
    publish_anew(store, many(5))
    add(store, "dresses", source(many(1, "new")))
    add(store, "dresses", source(many(2, "newer")))

    prune(store, keep=1, grace_seconds=0)
    roll_back(store, "dresses")

    assert served(store).manifest.items == 6
    assert len(answers(served(store), as_vectors(1))[0]) == 6
