"""The queue between the loops: whoever reads waits for reports, and whoever puts can wait for the reader."""

import asyncio

import pytest

from broker.loops.report_queue import ReportQueue


def test_the_reader_is_woken_by_what_is_put_and_by_the_end() -> None:
    async def main() -> None:
        queue = ReportQueue()
        producer = queue.open_producer()
        reading = asyncio.create_task(queue.take())
        await asyncio.sleep(0)
        assert not reading.done()
        producer.put([b"one", b"two"])
        assert await reading == [b"one", b"two"]
        reading = asyncio.create_task(queue.take())
        await asyncio.sleep(0)
        producer.close()
        assert await reading == []
        assert queue.has_ended

    asyncio.run(main())


def test_a_failed_producer_is_heard_after_what_was_put() -> None:
    async def main() -> None:
        queue = ReportQueue()
        producer = queue.open_producer()
        producer.put([b"one"])
        producer.close(RuntimeError("lost"))
        assert await queue.take() == [b"one"]
        with pytest.raises(RuntimeError, match="lost"):
            await queue.take()
        assert queue.take_nowait() == []

    asyncio.run(main())


def test_more_is_waited_for_while_patience_lasts() -> None:
    async def main() -> None:
        queue = ReportQueue()
        producer = queue.open_producer()
        producer.put([b"1"])
        reading = asyncio.create_task(queue.take(3, patience=1e9))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not reading.done()
        producer.put([b"23"])
        assert await reading == [b"1", b"23"]
        producer.put([b"4"])
        assert await queue.take(3, patience=1e-9) == [b"4"]

    asyncio.run(main())


def test_whoever_puts_much_waits_for_the_reader() -> None:
    """Without that, reports of peers piled up without bound while a court read slowly."""

    async def main() -> None:
        queue = ReportQueue(room=10)
        producer = queue.open_producer()
        put: list[int] = []

        async def source() -> None:
            for number in range(100):
                producer.put([b"12345"])
                put.append(number)
                await queue.wait_room()
            producer.close()

        feeding = asyncio.create_task(source())
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(put) == 3, "two fit, the third is more than there is room for"
        taken = 0
        while not queue.has_ended:
            taken += len(await queue.take())
            await asyncio.sleep(0)
        await feeding
        assert taken == 100

    asyncio.run(main())
