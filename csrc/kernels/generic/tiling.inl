// kernels/generic: tiles of rows and blocks of units: how a kernel walks through them.

constexpr index_t pair_gates = 2;  // gates that are side by side in packed weights
constexpr index_t gate_pairs = gate_count / pair_gates;

// What a tile prefetches into L2 while it computes: its share of the weights that are read next. Those of a wide layer
// are in L3 or in memory (at 64 rows of 1024 units 1.04 times the speed on one core, 1.12 on two, of an AMD EPYC Zen 5;
// `python -m bench`).
struct Ahead {
  const char* from;
  index_t bytes_per_k;
};

// Calls tile(TileHeight, first row) for tiles of nearly equal height, at most `most` high.
template <int rows>
struct TileHeight {
  static constexpr int value = rows;
};

template <int most, class Tile>
inline void call_with_height(index_t height, const Tile& tile) {
  if constexpr (most > 1) {
    if (height < most) {
      call_with_height<most - 1>(height, tile);
      return;
    }
  }
  tile(TileHeight<most>{});
}

template <int most, class Tile>
inline void for_each_tile(index_t row_count, const Tile& tile) {
  const index_t tiles = (row_count + most - 1) / most;
  if (tiles == 0) return;
  const index_t height = row_count / tiles;
  const index_t higher = row_count % tiles;  // tiles that have one row more
  index_t row = 0;
  for (index_t k = 0; k < tiles; ++k) {
    const index_t rows = height + (k < higher ? 1 : 0);
    call_with_height<most>(rows, [&](auto of) { tile(of, row); });
    row += rows;
  }
}

// Calls body(count, block) over the unit blocks, one or two at a time.
template <class Body>
inline void for_each_block(index_t first, index_t end, bool in_pairs, bool blocks_descending, const Body& body) {
  const index_t width = in_pairs ? 2 : 1;
  if (!blocks_descending) {
    for (; first + width <= end; first += width) body(width, first);
    if (first < end) body(1, first);
  } else {
    for (; end - width >= first; end -= width) body(width, end - width);
    if (first < end) body(1, first);
  }
}
