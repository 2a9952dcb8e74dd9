"""The API for programs: JSON, bearer keys, problem details."""

from fastapi import APIRouter

router = APIRouter()
