"""The contracts of the services that are in protobuf's default pool; the third is `oip.SERVICE`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh.metrics.v1 import metrics_service_pb2
from neuralmesh.registry.v1 import registry_service_pb2

if TYPE_CHECKING:
    from google.protobuf.descriptor import ServiceDescriptor

REGISTRY: ServiceDescriptor = registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"]
METRICS: ServiceDescriptor = metrics_service_pb2.DESCRIPTOR.services_by_name["MetricsService"]
