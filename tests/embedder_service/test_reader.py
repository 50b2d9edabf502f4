import gc
import threading
import time
import weakref

import pytest
from PIL import Image

from embedder_service.image_header import UnsupportedImage
from embedder_service.images import ImageTooLarge, InvalidRegion, Photo, Region
from lookalike_kit import calls
from lookalike_kit.errors import CallerGone, ShuttingDown


def held(readers):
    """A reader of one image at a time, that is done with the first only when it may `leave`."""
    inside, leave = threading.Event(), threading.Event()

    def observe(_: float) -> None:
        inside.set()
        leave.wait(20)

    return inside, leave, readers(1, observe)


def test_each_photo_fails_alone(picture, encode, readers, png_of_size):
    seconds = []
    reader = readers(2, seconds.append)
    good = encode(picture, "PNG")

    read = reader.read(
        [
            Photo(good),
            Photo(b"text"),
            Photo(good, (Region(0, 0, 0.5, 0.5), Region())),
            Photo(good, (Region(1, 0, 0, 1),)),
            Photo(png_of_size(60_000, 60_000)),
        ]
    ).result(20)

    assert [len(read[0]), len(read[2])] == [1, 2]
    assert [type(read[n]) for n in (1, 3, 4)] == [UnsupportedImage, InvalidRegion, ImageTooLarge]
    assert (read[0][0] == read[2][1]).all()
    assert len(seconds) == 2


def test_a_wait_to_be_decoded_is_told_by_who_waits(picture, encode, readers):
    inside, leave, waits = threading.Event(), threading.Event(), []

    def decoded(_: float) -> None:
        inside.set()
        leave.wait(20)

    reader = readers(1, decoded, lambda bulk, seconds: waits.append((bulk, seconds)))
    photo = [Photo(encode(picture, "PNG"))]
    readings = [reader.read(photo)]
    assert inside.wait(20)
    readings.append(reader.read(photo, bulk=True))
    time.sleep(0.1)
    leave.set()
    for reading in readings:
        reading.result(20)

    assert [bulk for bulk, _ in waits] == [False, True]
    assert waits[1][1] >= 0.1


def test_no_more_photos_are_decoded_at_once_than_allowed(picture, encode, readers):
    most, inside = [], [0]

    def observe(_: float) -> None:  # called while the place is held
        inside[0] += 1
        most.append(inside[0])
        time.sleep(0.001)  # another thread's chance to be inside, too
        inside[0] -= 1

    reader = readers(1, observe)
    photos = [Photo(encode(picture, "PNG"))] * 5
    for reading in [reader.read(photos) for _ in range(4)]:
        reading.result(20)

    assert len(most) == 20
    assert max(most) == 1


def test_boxes_of_one_photo_decode_it_once(picture, encode, readers):
    seconds = []
    reader = readers(2, seconds.append)
    boxes = tuple(Region(0, 0, 1, bottom / 16) for bottom in range(1, 17))

    (squares,) = reader.read([Photo(encode(picture, "JPEG"), boxes)]).result(20)

    assert len(squares) == 16
    assert len(seconds) == 1


def test_nothing_is_decoded_for_a_caller_that_has_left(picture, encode, readers):
    seconds = []
    reader = readers(1, seconds.append)
    photo = Photo(encode(picture, "PNG"))
    calls.begin((), lambda: len(seconds) < 2)
    try:
        with pytest.raises(CallerGone):
            reader.read([photo] * 5).result(20)
    finally:
        calls.end()

    assert len(seconds) == 2
    assert reader.seconds_until_read(1) == 0.0  # none of the five is still counted


def test_the_time_until_a_photo_is_read_counts_those_before_it(picture, encode, readers):
    inside, leave, reader = held(readers)
    assert reader.seconds_until_read(1) == 0.0
    reading = reader.read([Photo(encode(picture, "PNG"))] * 3)
    assert inside.wait(20)
    few, many = reader.seconds_until_read(1), reader.seconds_until_read(5)
    leave.set()
    reading.result(20)

    assert many / few == pytest.approx((3 + 5) / (1 + 1))
    assert reader.seconds_until_read(1) == 0.0


def test_one_large_picture_is_decoded_at_a_time_and_small_ones_pass_it(encode, readers):
    large = encode(Image.new("L", (4100, 4000)), "PNG")
    small = encode(Image.new("L", (10, 10)), "PNG")
    entered, leave = threading.Semaphore(0), threading.Event()

    def observe(_: float) -> None:
        entered.release()
        leave.wait(20)

    reader = readers(3, observe)
    readings = [reader.read([Photo(large)])]
    assert entered.acquire(timeout=20)
    readings += [reader.read([Photo(content)]) for content in (large, small)]
    assert entered.acquire(timeout=20)  # the small one
    assert not entered.acquire(timeout=0.1)
    leave.set()
    for reading in readings:
        reading.result(20)


def test_calls_are_read_by_turns_an_image_each(picture, encode, readers):
    inside, leave, reader = held(readers)
    photo, done = Photo(encode(picture, "PNG")), []
    long = reader.read([photo] * 5)
    assert inside.wait(20)
    short = reader.read([photo])
    long.add_done_callback(done.append)
    short.add_done_callback(done.append)
    leave.set()
    long.result(20)

    assert done[0] is short


def test_a_call_that_is_alone_has_all_threads(picture, encode, readers):
    together = threading.Barrier(3)
    reader = readers(3, lambda _: together.wait(20))

    assert len(reader.read([Photo(encode(picture, "PNG"))] * 6).result(20)) == 6


def test_what_cannot_be_read_is_told_before_its_turn(picture, encode, readers):
    inside, leave, reader = held(readers)
    reading = reader.read([Photo(encode(picture, "PNG"))])
    assert inside.wait(20)
    (refused,) = reader.read([Photo(b"text")]).result(0)
    leave.set()
    reading.result(20)

    assert isinstance(refused, UnsupportedImage)


def test_online_is_read_before_bulk_and_does_not_wait_for_it(picture, encode, readers):
    inside, leave, reader = held(readers)
    photo, done = Photo(encode(picture, "PNG")), []
    bulk = reader.read([photo] * 2, bulk=True)
    assert inside.wait(20)
    more = reader.read([photo], bulk=True)
    online_waits = reader.seconds_until_read(1)
    bulk_waits = reader.seconds_until_read(1, bulk=True)
    online = reader.read([photo])
    for reading in (bulk, more, online):
        reading.add_done_callback(done.append)
    leave.set()
    bulk.result(20)

    assert done[0] is online
    assert online_waits == 0.0 < bulk_waits


def test_of_a_call_before_it_as_many_photos_count_as_it_has_itself_and_online_all(
    picture, encode, readers
):
    inside, leave, reader = held(readers)
    photo = Photo(encode(picture, "PNG"))
    readings = [reader.read([photo] * 9)]
    assert inside.wait(20)
    readings += [reader.read([photo]), reader.read([photo] * 4, bulk=True)]
    online, bulk = (reader.seconds_until_read(2, bulk=each) for each in (False, True))
    leave.set()
    for reading in readings:
        reading.result(20)

    assert bulk / online == pytest.approx((9 + 1 + 2 + 2) / (2 + 1 + 2))


def test_a_thread_outlives_memory_that_ran_out(picture, encode, readers):
    errors = [MemoryError()]

    def observe(_: float) -> None:
        if errors:
            raise errors.pop()

    reader = readers(1, observe)
    photos = [Photo(encode(picture, "PNG"))] * 2
    with pytest.raises(MemoryError):
        reader.read(photos).result(20)

    assert len(reader.read(photos).result(20)) == 2
    assert reader.seconds_until_read(1) == 0.0


def test_a_stop_ends_the_calls_that_are_read(picture, encode, readers):
    inside, leave, reader = held(readers)
    photo = Photo(encode(picture, "PNG"))
    running = reader.read([photo] * 3)  # the second is in line already
    assert inside.wait(20)
    waiting = reader.read([photo] * 2)
    reader.stop()
    leave.set()

    for reading in (running, waiting):
        with pytest.raises(ShuttingDown):
            reading.result(20)
    with pytest.raises(ShuttingDown):
        reader.read([photo]).result(0)


def test_a_refusal_keeps_no_picture(picture, encode, readers, png_of_size):
    reader = readers(1)
    gc.disable()  # a cycle would keep a call's pictures until Python looks for some
    try:
        photos = [Photo(encode(picture, "PNG")), Photo(b"text"), Photo(png_of_size(99, 99))]
        (square,), *refusals = reader.read(photos).result(20)
        kept = weakref.ref(square)
        del square

        assert kept() is None
        for error in refusals:
            assert error.__traceback__ is error.__cause__ is error.__context__ is None
    finally:
        gc.enable()
