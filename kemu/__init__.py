"""kemu: Linux's per-CPU kernel-thread machinery in user space, on real cores."""
from loguru import logger

logger.disable("kemu")
