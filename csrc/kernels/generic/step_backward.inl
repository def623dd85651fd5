// kernels/generic: one step backward (contract: StepBackward in backward_arguments.hpp). The sums of products stay
// in memory between blocks of k and before the gates: a step's sums fit the caches, its weights do not.

template <class Real>
constexpr index_t group_units = backward_group_vectors * lanes<Real>;

// The rows of W_hh per pass: what a tile's rows read of `next_gate_gradients` stays in the L1 cache.
constexpr index_t backward_k_block = 1024;

// Calls body(Access, offset) for the vectors of a group with `left` units.
template <class Real, class Body>
[[gnu::always_inline]] inline void for_each_vector(index_t left, const Body& body) {
  for (index_t v = 0; v < backward_group_vectors; ++v) {
    const index_t offset = v * lanes<Real>;
    if (left >= offset + lanes<Real>) {
      body(WholeVector<Real>{}, offset);
    } else if (left > offset) {
      body(PartialVector<Real>{left - offset}, offset);
    }
  }
}

// The values that the sums begin with.
template <class Real>
void begin_sums(const StepBackward<Real>& step, index_t group) {
  const index_t unit = group * group_units<Real>;
  for (index_t r = 0; r < step.row_count; ++r) {
    const BackwardRow<Real>& row = step.rows[r];
    for (index_t v = 0; v < backward_group_vectors; ++v) store(row.sums + unit + v * lanes<Real>, Vector<Real>{});
    for_each_vector<Real>(step.units - unit, [&](auto access, index_t offset) {
      Vector<Real> sum{};
      if (row.output_gradient != nullptr) sum = access.read(row.output_gradient + unit + offset);
      if (row.final_gradient != nullptr) sum += access.read(row.final_gradient + unit + offset);
      store(row.sums + unit + offset, sum);
    });
  }
}

// A tile's sums += W_hh^T next_gate_gradients, for k in [begin, end). A tile with fewer rows has more groups, so that
// its sums always keep the multiply-add units busy.
template <class Real, int rows, int groups>
[[gnu::noinline]] void add_next(const StepBackward<Real>& step, const BackwardRow<Real>* row, index_t group,
                                index_t begin, index_t end) {
  constexpr int vectors = groups * static_cast<int>(backward_group_vectors);
  Vector<Real> sums[rows][vectors];
  const Real* values[rows];
  for (int r = 0; r < rows; ++r) {
    values[r] = row[r].next_gate_gradients;
    for (int v = 0; v < vectors; ++v) sums[r][v] = load(row[r].sums + group * group_units<Real> + v * lanes<Real>);
  }
  const Real* weights = step.weights + group * step.group_stride + begin * step.weight_stride;
  const auto place = [&](int v) {
    return v / backward_group_vectors * step.group_stride + v % backward_group_vectors * lanes<Real>;
  };
  for (index_t k = begin; k < end; ++k) {
    if constexpr (groups > 1) {
      Vector<Real> value[rows];
      for (int r = 0; r < rows; ++r) value[r] = broadcast(values[r][k]);
      for (int v = 0; v < vectors; ++v) {
        const Vector<Real> weight = load(weights + place(v));
        for (int r = 0; r < rows; ++r) sums[r][v] = multiply_add(value[r], weight, sums[r][v]);
      }
    } else {
      Vector<Real> weight[vectors];
      for (int v = 0; v < vectors; ++v) weight[v] = load(weights + place(v));
      for (int r = 0; r < rows; ++r) {
        const Vector<Real> value = broadcast(values[r][k]);
        for (int v = 0; v < vectors; ++v) sums[r][v] = multiply_add(value, weight[v], sums[r][v]);
      }
    }
    weights += step.weight_stride;
  }
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) store(row[r].sums + group * group_units<Real> + v * lanes<Real>, sums[r][v]);
  }
}

template <class Real, int groups>
void add_following_to_groups(const StepBackward<Real>& step, index_t group) {
  constexpr int most_rows = groups == 4 ? 1 : groups == 2 ? tile_rows : 2 * tile_rows;
  for (index_t begin = 0; begin < step.size; begin += backward_k_block) {
    const index_t end = begin + backward_k_block < step.size ? begin + backward_k_block : step.size;
    for_each_tile<most_rows>(step.row_count, [&](auto height, index_t first) {
      add_next<Real, decltype(height)::value, groups>(step, step.rows + first, group, begin, end);
    });
  }
}

// A single batch row reads W_hh where it is, some rows of W_hh side by side from their first unit to the last. That is
// the order in which memory is prefetched. Each sum still runs over k in order.
template <class Real>
void add_following_in_place(const StepBackward<Real>& step) {
  constexpr index_t together = 8;
  const Real* values = step.rows->next_gate_gradients;
  const index_t first = step.first_group * group_units<Real>;
  const index_t end = step.end_group * group_units<Real>;
  for (index_t k = 0; k < step.size; k += together) {
    const index_t count = step.size - k < together ? step.size - k : together;
    const Real* weights = step.weights + k * step.weight_stride;
    if (count == together) {
      Vector<Real> value[together];
      for (index_t j = 0; j < together; ++j) value[j] = broadcast(values[k + j]);
      for (index_t unit = first; unit < end; unit += lanes<Real>) {
        Vector<Real> sum = load(step.rows->sums + unit);
        for (index_t j = 0; j < together; ++j) {
          sum = multiply_add(value[j], load(weights + j * step.weight_stride + unit), sum);
        }
        store(step.rows->sums + unit, sum);
      }
    } else {
      for (index_t j = 0; j < count; ++j) {
        const Vector<Real> value = broadcast(values[k + j]);
        for (index_t unit = first; unit < end; unit += lanes<Real>) {
          store(step.rows->sums + unit,
                multiply_add(value, load(weights + j * step.weight_stride + unit), load(step.rows->sums + unit)));
        }
      }
    }
  }
}

// The gradients of a group's units, from their sums.
template <class Cell, class Real>
void finish_gates(const Cell& cell, const StepBackward<Real>& step, index_t group) {
  const index_t unit = group * group_units<Real>;
  for (index_t r = 0; r < step.row_count; ++r) {
    const BackwardRow<Real>& row = step.rows[r];
    Vectors<Real, backward_group_vectors> cells{};
    for_each_vector<Real>(step.units - unit, [&](auto access, index_t offset) {
      cells.of[offset / lanes<Real>] = access.read(row.cell + unit + offset);
    });
    const Vectors<Real, backward_group_vectors> activated = cell.activate_cell(cells);
    for_each_vector<Real>(step.units - unit, [&](auto access, index_t offset) {
      gradients_of_cell(cell, step, row, unit + offset, activated.of[offset / lanes<Real>], access);
    });
  }
}

template <class Real>
void finish_state(const StepBackward<Real>& step, index_t group) {
  const index_t unit = group * group_units<Real>;
  for (index_t r = 0; r < step.row_count; ++r) {
    for_each_vector<Real>(step.units - unit, [&](auto access, index_t offset) {
      access.write(step.rows[r].hidden + unit + offset, load(step.rows[r].sums + unit + offset));
    });
  }
}

// Computes the products of `groups` groups at a time, then calls finish(step, group).
template <class Real, int groups, class Finish>
index_t run_groups(const StepBackward<Real>& step, index_t group, const Finish& finish) {
  for (; group + groups <= step.end_group; group += groups) {
    for (index_t k = 0; k < groups; ++k) begin_sums(step, group + k);
    if (step.weights != nullptr) add_following_to_groups<Real, groups>(step, group);
    for (index_t k = 0; k < groups; ++k) finish(step, group + k);
  }
  return group;
}

// Up to this many groups, a single row takes W_hh group by group, with its sums in registers, as several rows do.
// Backward of 100,1,128 took 442 us and takes 325 us, of 100,1,256 took 2.0 ms and takes 1.9 ms, on one core of an AMD
// EPYC (Zen 5)
// (`make training`).
constexpr index_t few_groups = 8;

template <class Real, class Finish>
void run_backward(const StepBackward<Real>& step, const Finish& finish) {
  const bool in_place = step.group_stride == group_units<Real>;
  if (step.weights != nullptr && in_place && step.row_count == 1 && step.end_group - step.first_group > few_groups) {
    for (index_t group = step.first_group; group < step.end_group; ++group) begin_sums(step, group);
    add_following_in_place(step);
    for (index_t group = step.first_group; group < step.end_group; ++group) finish(step, group);
    return;
  }
  index_t group = step.first_group;
  if (step.row_count == 1) group = run_groups<Real, 4>(step, group, finish);
  if (step.row_count <= tile_rows) group = run_groups<Real, 2>(step, group, finish);
  run_groups<Real, 1>(step, group, finish);
}

template <class Real>
void step_backward(const StepBackward<Real>& step) {
  with_cell<VectorArithmetic<Real>>(step.cell, [&](const auto& cell) {
    run_backward(step, [&cell](const StepBackward<Real>& of, index_t group) { finish_gates(cell, of, group); });
  });
}

template <class Real>
void state_backward(const StepBackward<Real>& step) {
  run_backward(step, finish_state<Real>);
}
