"""Celery's consumer without what we never use: tasks to be run later, for which it keeps 28 queues at RabbitMQ."""

from celery.worker.consumer import Consumer as CeleryConsumer
from celery.worker.consumer import delayed_delivery


class Consumer(CeleryConsumer):  # type: ignore[misc] # Celery has no types
    """What a worker runs (Celery's setting `worker_consumer`)."""

    class Blueprint(CeleryConsumer.Blueprint):  # type: ignore[misc]
        """Its steps from the connection on."""

        default_steps = tuple(
            step for step in CeleryConsumer.Blueprint.default_steps if not step.startswith(delayed_delivery.__name__)
        )
