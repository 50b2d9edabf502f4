from embedder_service.room import Room


def test_after_memory_ran_out_batches_are_half_as_large_for_a_minute():
    now = [0.0]
    room = Room(32, lambda: now[0])
    assert room.images == 32

    room.ran_out(32)
    now[0] = 59.9
    assert room.images == 16

    now[0] = 60.0
    assert room.images == 32


def test_there_is_room_for_one_image_at_least():
    room = Room(32, lambda: 0.0)
    room.ran_out(1)

    assert room.images == 1
