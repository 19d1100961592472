"""The labor metrics in their order, strategies for their values, and the unit of rounding."""

from hypothesis import strategies as st

METRICS = (
    "productivity",
    "efficiency",
    "quality",
    "throughput",
    "utilization",
    "latency",
    "error_rate",
    "completion_rate",
)

EPSILON = 2.0**-52

metric_values = st.floats(-1e6, 1e6)
full_metric_sets = st.fixed_dictionaries(dict.fromkeys(METRICS, metric_values))
