"""The base of every settings object: frozen, strict about types, no unknown key, no nan."""

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """Immutable settings; building one from wrong input raises pydantic.ValidationError naming the key."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
