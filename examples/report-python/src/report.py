"""Reports on the numbers in an event."""
import logging
import os
import statistics

logger = logging.getLogger()
logger.setLevel(logging.INFO)


def handler(event, context):
    numbers = event["numbers"]
    logger.info("reporting on %d numbers, %d ms left", len(numbers), context.get_remaining_time_in_millis())
    return {
        "count": len(numbers),
        "mean": statistics.fmean(numbers),
        "largest": max(numbers),
        "note": os.environ["REPORT_GREETING"],
    }
