"""Shapes for hypothesis to draw."""

from hypothesis import strategies as st

from shapes import Shape


def drawn_shapes(*, seq_len, batch, input_size, hidden_size, num_layers=3):
    """Shapes of up to these sizes, in one direction or two. `batch`: (fewest, most)."""
    return st.builds(
        Shape,
        st.just("random"),
        seq_len=st.integers(1, seq_len),
        batch=st.integers(*batch),
        input_size=st.integers(1, input_size),
        hidden_size=st.integers(1, hidden_size),
        num_layers=st.integers(1, num_layers),
        bidirectional=st.booleans(),
    )
