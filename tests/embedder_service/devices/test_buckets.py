import pytest

from embedder_service.devices.buckets import Cuts, bucket_sizes, fine_bucket


@pytest.mark.parametrize(
    ("most", "sizes"),
    [(1, (1,)), (2, (1, 2)), (8, (1, 2, 4, 8)), (24, (1, 2, 4, 8, 16, 24)), (3, (1, 2, 3))],
)
def test_buckets_double_up_to_the_largest_batch(most, sizes):
    assert bucket_sizes(most) == sizes


def test_fine_buckets_leave_little_room_and_are_few():
    buckets = [fine_bucket(images, 256) for images in range(1, 257)]

    assert buckets[:16] == list(range(1, 17))
    assert all(0 <= bucket - images < images / 8 for images, bucket in enumerate(buckets, 1))
    assert len(set(buckets)) == 16 + 4 * 8
    assert set(bucket_sizes(256)) <= set(buckets)
    assert fine_bucket(19, 19) == 19


def test_where_every_image_costs_its_time_a_batch_is_cut_to_fit():
    cuts = Cuts({1: 1.1, 2: 2.0, 4: 4.0, 8: 8.0})

    assert cuts.of(7) == [4, 2, 1]
    assert cuts.of(8) == [8]


def test_where_a_pass_costs_the_same_for_more_images_a_bucket_is_filled_up():
    cuts = Cuts({1: 5.0, 2: 5.1, 4: 5.2, 8: 6.0})

    assert cuts.of(3) == [4]
    assert cuts.of(5) == [8]


def test_more_than_the_largest_bucket_takes_several():
    cuts = Cuts({1: 1.0, 2: 1.2, 4: 1.5})

    assert cuts.of(7) == [4, 4]
    assert cuts.of(9) == [4, 4, 1]


def test_only_the_last_piece_may_have_room_left():
    seconds = {1: 1.0, 2: 1.1, 4: 2.9, 8: 3.0}
    cuts = Cuts(seconds)

    for images in range(1, 30):
        pieces = cuts.of(images)
        assert sum(pieces[:-1]) < images <= sum(pieces)
