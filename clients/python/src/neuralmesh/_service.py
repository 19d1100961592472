"""The contracts of the services that are in protobuf's default pool; beside them there is `oip.SERVICE`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh.inference.v1 import node_service_pb2
from neuralmesh.labor.v1 import labor_service_pb2, worker_service_pb2
from neuralmesh.mesh.v1 import edge_service_pb2, mesh_service_pb2
from neuralmesh.metrics.v1 import metrics_service_pb2
from neuralmesh.registry.v1 import registry_service_pb2

if TYPE_CHECKING:
    from google.protobuf.descriptor import ServiceDescriptor

REGISTRY: ServiceDescriptor = registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"]
METRICS: ServiceDescriptor = metrics_service_pb2.DESCRIPTOR.services_by_name["MetricsService"]
MESH: ServiceDescriptor = mesh_service_pb2.DESCRIPTOR.services_by_name["MeshService"]
LABOR: ServiceDescriptor = labor_service_pb2.DESCRIPTOR.services_by_name["LaborArrayService"]
LABOR_WORKER: ServiceDescriptor = worker_service_pb2.DESCRIPTOR.services_by_name["WorkerService"]
NODE: ServiceDescriptor = node_service_pb2.DESCRIPTOR.services_by_name["NodeService"]
EDGE: ServiceDescriptor = edge_service_pb2.DESCRIPTOR.services_by_name["EdgeService"]
