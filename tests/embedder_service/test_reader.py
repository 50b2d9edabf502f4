import threading
import time

from embedder_service.image_header import UnsupportedImage
from embedder_service.images import ImageTooLarge, InvalidRegion, Limits, Region
from embedder_service.reader import Photo, Reader


def test_each_photo_fails_alone(picture, encode, preprocessing, png_of_size):
    seconds = []
    reader = Reader(preprocessing, Limits(), 2, seconds.append)
    good = encode(picture, "PNG")

    read = reader.read(
        [
            Photo(good),
            Photo(b"text"),
            Photo(good, (Region(0, 0, 0.5, 0.5), Region())),
            Photo(good, (Region(1, 0, 0, 1),)),
            Photo(png_of_size(60_000, 60_000)),
        ]
    )

    assert [len(read[0]), len(read[2])] == [1, 2]
    assert [type(read[n]) for n in (1, 3, 4)] == [UnsupportedImage, InvalidRegion, ImageTooLarge]
    assert (read[0][0] == read[2][1]).all()
    assert len(seconds) == 2


def test_no_more_photos_are_decoded_at_once_than_allowed(picture, encode, preprocessing):
    most, inside = [], [0]

    def observe(_: float) -> None:  # called while the place is held
        inside[0] += 1
        most.append(inside[0])
        time.sleep(0.001)  # another thread's chance to be inside, too
        inside[0] -= 1

    reader = Reader(preprocessing, Limits(), 1, observe)
    photos = [Photo(encode(picture, "PNG"))] * 5
    threads = [threading.Thread(target=reader.read, args=(photos,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(most) == 20
    assert max(most) == 1
