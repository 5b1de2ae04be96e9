"""The endpoint: POST /predict with images, GET /health, GET /metrics.

A request is admitted or refused (429) by its head, before its body is read, so that what is at work is bounded whatever
is sent; a body that grows beyond its limit is cut off (413).
"""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from python_multipart.exceptions import MultipartParseError
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from studio.data.files.images import BadImage, read_image, stored_size
from studio.runs.queue import cores
from studio.runs.serve.batches import Batches
from studio.runs.serve.counts import Counts
from studio.runs.serve.exported import Exported
from studio.runs.serve.image_input import input_of


@dataclass(frozen=True)
class ServeLimits:
    """What is taken at most."""

    request_bytes: int = 16 * 2**20
    pixels: int = 50_000_000  # of an image
    images: int = 32  # in a request
    queue: int = 64  # requests at work at once
    batch: int = 16  # images in one call of the network
    body_s: float = 30.0  # until a request's body must be there


class Refusal(Exception):
    """A request that is not answered: its HTTP status, and a sentence."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Server:
    """Answers for one exported network."""

    def __init__(self, model: Exported, limits: ServeLimits) -> None:
        self.model, self.limits, self.counts = model, limits, Counts()
        self.batches = Batches(model.run, limits.batch, self.counts.batches.observe)
        self.decoders = ThreadPoolExecutor(cores(), thread_name_prefix="decoder")
        self.at_work = 0

    async def predict(self, request: Request) -> Response:
        begun = time.perf_counter()
        try:
            async with self._admitted():
                values = await self._answered(request)
            status = 200
        except Refusal as refusal:
            status, values = refusal.status, {"error": refusal.reason}
        self.counts.requests.labels(str(status)).inc()
        self.counts.seconds.observe(time.perf_counter() - begun)
        return JSONResponse(values, status, {"Retry-After": "1"} if status == 429 else None)

    @asynccontextmanager
    async def _admitted(self) -> AsyncIterator[None]:
        if self.at_work >= self.limits.queue:
            raise Refusal(429, f"{self.limits.queue} requests are at work already; try again in a second.")
        self.at_work += 1
        self.counts.in_flight.inc()
        try:
            yield
        finally:
            self.at_work -= 1
            self.counts.in_flight.dec()

    async def _answered(self, request: Request) -> dict[str, Any]:
        topk = _topk(request)
        try:
            async with asyncio.timeout(self.limits.body_s):
                files = await self._files(request)
        except TimeoutError:
            raise Refusal(408, f"The request was not there within {self.limits.body_s:g} s.") from None
        except ClientDisconnect:
            raise Refusal(400, "The request was broken off.") from None
        loop = asyncio.get_running_loop()
        decoded = await asyncio.gather(
            *(loop.run_in_executor(self.decoders, self._decode, name, data) for name, data in files)
        )
        rejected = [image for image in decoded if isinstance(image, Refusal)]
        if len(rejected) == len(decoded):
            raise rejected[0]
        logits = await self.batches.logits([image for image in decoded if not isinstance(image, Refusal)])
        answers = iter(self.model.answers(logits))
        self.counts.images.inc(len(logits))
        told = [
            {"error": image.reason} if isinstance(image, Refusal) else next(answers).to_dict(topk) for image in decoded
        ]
        predictions = [{"image": name, **values} for (name, _), values in zip(files, told, strict=True)]
        return {"model": self.model.name, "predictions": predictions}

    async def _files(self, request: Request) -> list[tuple[str, bytes]]:
        """The images of a request by name: the files of a form, or the body itself."""
        if not request.headers.get("content-type", "").startswith("multipart/form-data"):
            body = b"".join([chunk async for chunk in self._bounded(request)])
            if not body:
                raise Refusal(400, "The request is empty; send an image as the body, or files as multipart/form-data.")
            return [("image", body)]
        try:
            parser = MultiPartParser(
                request.headers, self._bounded(request), max_files=self.limits.images, max_fields=self.limits.images
            )
            form = await parser.parse()
        except (MultiPartException, MultipartParseError, KeyError) as error:
            raise Refusal(400, f"The form can't be read: {error}") from None
        uploads = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
        if not uploads:
            raise Refusal(400, "The form has no file; send each image as a file, under any name.")
        try:
            return [(upload.filename or "image", await upload.read()) for upload in uploads]
        finally:
            await form.close()

    async def _bounded(self, request: Request) -> AsyncIterator[bytes]:
        """The body in chunks. Raises Refusal once it is too large, or says that it will be."""
        most = self.limits.request_bytes
        too_large = Refusal(413, f"The request is larger than {most / 2**20:g} MB, which are taken at most.")
        stated = request.headers.get("content-length", "0")
        if not stated.isdecimal() or int(stated) > most:
            raise too_large
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                raise too_large
            yield chunk

    def _decode(self, name: str, data: bytes) -> np.ndarray | Refusal:
        """The network's input, or why there is none. Runs in a thread."""
        try:
            width, height = stored_size(data, name)
            if width * height > self.limits.pixels:
                return Refusal(413, f"{name}: {width:,} x {height:,} pixels; {self.limits.pixels:,} are taken at most.")
            return input_of(read_image(data, name, self.model.preprocess.image_size), self.model.preprocess)
        except BadImage as error:
            return Refusal(415, str(error))

    async def health(self, request: Request) -> Response:
        facts = {"status": "ok", "model": self.model.name, "form": self.model.form, "classes": self.model.classes}
        return JSONResponse(facts)

    async def metrics(self, request: Request) -> Response:
        text, kind = self.counts.text()
        return Response(text, media_type=None, headers={"content-type": kind})


def build_app(model: Exported, limits: ServeLimits) -> Starlette:
    """The application; it is tried once, so that the first client does not wait."""
    server = Server(model, limits)
    size = model.preprocess
    model.run(np.zeros((1, 3, size.image_size, size.width), np.float32))
    routes = [
        Route("/predict", server.predict, methods=["POST"]),
        Route("/health", server.health),
        Route("/metrics", server.metrics),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _not_here, Exception: _failed})


def _topk(request: Request) -> int:
    text = request.query_params.get("topk", "5")
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1000):
        raise Refusal(400, f"topk: found {text!r}; expected a number from 1 to 1000.")
    return int(text)


async def _not_here(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return JSONResponse({"error": "There are POST /predict, GET /health and GET /metrics."}, status)


async def _failed(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "The server failed; its log says why."}, 500)
