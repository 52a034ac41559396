"""Shapes are made when first needed, by whichever thread needs them."""

from typing import Any

from kdl.parser.manifest.shape import Shape, look_into


class Slow(dict[str, Any]):
    """A schema during whose reading another thread looks into the same shape, from start to end."""

    def __init__(self, schema: dict[str, Any]) -> None:
        super().__init__(schema)
        self.shape: Shape | None = None

    def get(self, key: str, default: Any = None) -> Any:
        other, self.shape = self.shape, None
        if other is not None:
            look_into(other)
        return super().get(key, default)


def test_two_threads_that_need_a_shape_first_both_get_it_whole():
    schema = Slow({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]})
    shape = Shape("", schema)
    schema.shape = shape
    look_into(shape)
    assert shape.raw is None
    assert shape.properties["name"].kind == "string"
    assert shape.required == ("name",)


def test_one_that_comes_late_changes_nothing():
    """It saw that the shape was not yet looked into; meanwhile another thread has done it."""
    shape = Shape("", {"type": "object", "properties": {"name": {"type": "string"}}})
    look_into(shape)
    before = shape.properties
    look_into(shape)
    assert shape.properties is before
