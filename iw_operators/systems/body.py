"""Reading an answer's body within limits.

A read timeout bounds the pause between two pieces only: a server that sends one byte a minute keeps a task waiting for
ever, and one that sends without end (or packed: a gzip bomb) takes all memory. Not bounded: a server that sends its
headers byte by byte, as far as each byte comes in time.
"""

from __future__ import annotations

import time
from typing import Final

import requests
from urllib3.exceptions import DecodeError, HTTPError, ReadTimeoutError

MOST: Final = 128 * 1024 * 1024  # bytes of an unpacked answer; the largest that we ask for is a tenth of it
PIECE: Final = 256 * 1024


def read_body(answer: requests.Response, seconds: float, most: int = MOST) -> bytes:
    """Return the whole unpacked body of a streamed answer, and give its connection back.

    :param seconds: how long it may take in all.
    :raises requests.RequestException: it ends early, cannot be unpacked, takes too long (`ReadTimeout`) or is larger
        than `most`. The connection is closed then.
    """
    ends = time.monotonic() + seconds
    pieces: list[bytes] = []
    size = 0
    try:
        while piece := answer.raw.read1(PIECE, decode_content=True):
            pieces.append(piece)
            size += len(piece)
            if size > most:
                msg = f"an answer of more than {most} bytes"
                raise requests.exceptions.ContentDecodingError(msg)
            if time.monotonic() > ends:
                msg = f"an answer that takes more than {seconds:g} seconds"
                raise requests.exceptions.ReadTimeout(msg)
    except ReadTimeoutError as error:
        raise requests.exceptions.ReadTimeout(error) from error
    except DecodeError as error:
        raise requests.exceptions.ContentDecodingError(error) from error
    except HTTPError as error:
        raise requests.exceptions.ChunkedEncodingError(error) from error
    finally:
        answer.close()
    return b"".join(pieces)
