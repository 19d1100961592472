"""Who swaps while others measure: moves an alias to and fro between versions 1 and 2, and waits for the node each time.

`python -m bench.swapper REGISTRY INFERENCE MODEL REQUEST SWAPS SECONDS` prints a line when it is ready, waits for one
on its standard input, spreads the swaps over the seconds and prints how many took place. REQUEST is a file with a
framed request. It is a process of its own, so that its work is not in the way of the one that measures.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from bench.load import FRAME_BYTES
from neuralmesh import Client

GIVE_UP_SECONDS = 20.0
PAUSE_SECONDS = 0.002


def main() -> None:
    """Swap and print."""
    registry, inference, model, frame = sys.argv[1:5]
    swaps, seconds = int(sys.argv[5]), float(sys.argv[6])
    request = Path(frame).read_bytes()[FRAME_BYTES:]
    with Client(registry=registry, inference=inference) as client:
        version = int(client.inference.model_infer(request).model_version)
        print("ready", flush=True)
        sys.stdin.readline()
        started = time.monotonic()
        for number in range(swaps):
            time.sleep(max(0.0, started + number * seconds / swaps - time.monotonic()))
            version = 3 - version
            client.registry.promote_alias(model, "production", version)
            deadline = time.monotonic() + GIVE_UP_SECONDS
            while client.inference.model_infer(request).model_version != str(version):
                if time.monotonic() > deadline:
                    sys.exit(f"version {version} was promoted and does not answer")
                time.sleep(PAUSE_SECONDS)
    print(swaps)


if __name__ == "__main__":
    main()
