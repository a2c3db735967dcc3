import pytest
from fake_client import Client


@pytest.fixture
def client():
    """A client of a fresh service with the default account."""
    return Client()
