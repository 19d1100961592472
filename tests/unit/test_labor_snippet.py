"""The labor intelligence engine: the article's snippet runs as it is printed."""

import os
import subprocess
import sys
from pathlib import Path

import liam_core

SEED_SNIPPET = """\
from liam_core import LaborIntelligenceEngine, BinaryAlgebra
engine = LaborIntelligenceEngine(dimensions=64)
algebra = BinaryAlgebra()
tensor = engine.ingest_labor_data({'productivity': 85.5, 'efficiency': 92.3, 'quality': 88.7, 'throughput': 120.0})
matrix = engine.compute_labor_matrix([tensor])
patterns = engine.analyze_intelligence_patterns(matrix)
print(f"Rank: {patterns['rank']}, Condition: {patterns['condition_number']:.2f}")
"""


class TestSeedSnippet:
    def test_prints_a_finite_rank_and_condition_number(self):
        """The seed article's snippet runs verbatim, without warnings, and reports the rank-one matrix that it builds."""
        environment = os.environ | {"PYTHONPATH": str(Path(liam_core.__file__).parents[1])}
        ended = subprocess.run(
            [sys.executable, "-W", "error", "-c", SEED_SNIPPET],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "Rank: 1, Condition: 1.00\n", "")
