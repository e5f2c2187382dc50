"""The side of a door: asks other bridges and takes their answers, whole or as they come."""

import asyncio
import itertools

import msgspec

from safetytwin.bridge.cluster.wire import (
    ALIVE,
    BLOCK,
    END,
    LEAVE,
    PART,
    Ask,
    Head,
    Piece,
    encoded,
    piece_of,
    send_all,
    send_block,
)
from safetytwin.nats_link import LinkError, Message, NatsLink

_MOST_BYTES = 64 << 20
"""Of an answer that waits to be passed on: who reads so slowly has to ask again."""
ALIVE_SECONDS = 15.0
"""Between two signs of one who listens."""
_SILENT_SECONDS = 40.0
"""Without a block after which an answer has broken off: a stream says something every 15."""


class NoAnswerError(Exception):
    """A bridge did not answer, or not to the end; the text says why."""


class Answers:
    """One answer, block by block."""

    def __init__(self, asking: "Asking", number: int, to: str) -> None:
        self._asking = asking
        self._number = number
        self._parts: list[bytes] = []
        self._blocks: asyncio.Queue[bytes | NoAnswerError | None] = asyncio.Queue()
        self._waiting = 0
        self._ended = False
        self.to = to
        """Subject of the bridge that answers."""

    async def head(self, seconds: float) -> Head:
        """Return what the answer begins with; raises NoAnswerError where it does not begin in time."""
        block = await self.block(seconds)
        if block is None:
            raise NoAnswerError("The bridge ended its answer before it began.")
        return msgspec.msgpack.decode(block, type=Head)

    async def block(self, seconds: float = _SILENT_SECONDS) -> bytes | None:
        """Return the next block of the answer, None after the last; raises NoAnswerError."""
        try:
            found = await asyncio.wait_for(self._blocks.get(), seconds)
        except TimeoutError:
            raise NoAnswerError(f"The bridge that has this machine did not answer within {seconds:g} s.") from None
        if isinstance(found, NoAnswerError):
            raise found
        self._waiting -= len(found or b"")
        return found

    async def rest(self) -> bytes:
        """Return all blocks that are left, as one."""
        blocks = []
        while (block := await self.block()) is not None:
            blocks.append(block)
        return b"".join(blocks)

    def got(self, piece: Piece) -> None:
        """Take a message."""
        if piece.kind == END:
            self._ended = True
            self._blocks.put_nowait(None)
            return
        self._parts.append(piece.data)
        self._waiting += len(piece.data)
        if self._waiting > _MOST_BYTES:
            self.broke_off("What was asked for is taken too slowly.")
        elif piece.kind == BLOCK:
            self._blocks.put_nowait(b"".join(self._parts))
            self._parts.clear()

    def broke_off(self, why: str) -> None:
        """End the answer before its end."""
        self._blocks.put_nowait(NoAnswerError(why))

    def close(self) -> None:
        """Take no more of it, and tell the bridge so where it has not ended."""
        self._asking.forget(self._number, None if self._ended else self.to)


class Asking:
    """All that one door has asked and is not answered yet; used on one event loop."""

    def __init__(self, link: NatsLink, subject: str) -> None:
        """Answers come on subject.NUMBER."""
        self._link = link
        self._subject = subject
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count()
        self._open: dict[int, Answers] = {}
        self._sending: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen for answers."""
        await asyncio.to_thread(self._link.subscribe, f"{self._subject}.*", self._came)
        self._link.when_changed(self._changed)

    async def ask(self, to: str, ask: Ask) -> Answers:
        """Send a request to a bridge's subject; close the answers in the end. Raises NoAnswerError."""
        number = next(self._numbers)
        answers = self._open[number] = Answers(self, number, to)
        try:
            await send_block(self._link, to, encoded(ask), self._reply(number))
        except BaseException as error:
            self.forget(number, None)
            if isinstance(error, LinkError):
                raise NoAnswerError(str(error)) from error
            raise
        return answers

    def forget(self, number: int, leave: str | None) -> None:
        """Take no more of an answer; leave is the subject of the bridge to tell that."""
        if self._open.pop(number, None) is not None and leave is not None:
            self._send_soon(leave, Piece(LEAVE), number)

    def gone(self, subjects: set[str]) -> None:
        """End all that is asked of bridges that are not among these any more."""
        for answers in self._open.values():
            if answers.to not in subjects:
                answers.broke_off("The bridge that was to answer has gone.")

    async def run(self) -> None:
        """Say of long answers that someone still listens, until cancelled."""
        while True:
            await asyncio.sleep(ALIVE_SECONDS)
            for number, answers in list(self._open.items()):
                self._send_soon(answers.to, Piece(ALIVE), number)

    def _send_soon(self, to: str, piece: Piece, number: int) -> None:
        async def send() -> None:
            try:
                await send_all(self._link, to, [encoded(piece)], self._reply(number))
            except LinkError:
                pass  # the bridge ends by itself what nobody says to listen to

        task = self._loop.create_task(send())
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def _reply(self, number: int) -> str:
        return f"{self._subject}.{number}"

    def _came(self, message: Message) -> None:
        """Take a message, on the link's thread."""
        number = message.subject.rpartition(".")[2]
        if number.isdecimal():
            self._loop.call_soon_threadsafe(self._got, int(number), message)

    def _got(self, number: int, message: Message) -> None:
        answers = self._open.get(number)
        if answers is None:
            return
        if message.headers.get("Status") == "503":
            answers.broke_off("The bridge that was to answer is not there.")
            return
        piece = piece_of(message.data)
        if piece is not None and piece.kind in {PART, BLOCK, END}:
            answers.got(piece)

    def _changed(self, connected: bool) -> None:
        if not connected:
            self._loop.call_soon_threadsafe(self._lost)

    def _lost(self) -> None:
        for answers in self._open.values():
            answers.broke_off(f"The other bridges can't be reached: {self._link.why}")
