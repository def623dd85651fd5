// bindings: what a plan says about a call.
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "bindings/register.hpp"
#include "driver/stack_forward.hpp"
#include "plan/packed_weights.hpp"

namespace py = pybind11;

namespace lstm_native::bindings {
namespace {

const char* name_of(driver::WeightPath path) {
  switch (path) {
    case driver::WeightPath::packed:
      return "packed";
    case driver::WeightPath::packed_per_call:
      return "packed_per_call";
    case driver::WeightPath::in_place:
      return "in_place";
    case driver::WeightPath::blas:
      return "blas";
  }
  return "";
}

template <class Real>
py::dict describe(const plan::Plan& plan, bool packed, bool even_rows) {
  const plan::Problem& problem = plan.problem;
  // Stand-ins: only whether there are panels, and how far rows are apart, is asked.
  const std::byte panel{};
  driver::CellWeights<Real> cell;
  cell.input_panels = packed ? &panel : nullptr;
  const std::vector<driver::CellWeights<Real>> weights(
      static_cast<std::size_t>(problem.num_layers * problem.num_directions), cell);
  SequenceView<const Real> input;
  input.row_stride = problem.input_size;
  input.time_stride = even_rows ? problem.batch * problem.input_size : 0;
  if (!even_rows) input.row_stride = 0;
  const plan::ScratchLayout<Real> scratch(plan, driver::scratch_needs(plan, weights.data(), input));
  py::list layers;
  for (index_t layer = 0; layer < problem.num_layers; ++layer) {
    const driver::WeightPaths paths = driver::weight_paths(plan, layer, input, packed);
    const plan::Split split = plan.wavefront ? plan::Split{} : plan.split(layer, plan.threads);
    py::dict described;
    described["input_size"] = problem.layer_input_size(layer);
    described["input_weights"] = name_of(paths.input);
    described["recurrent_weights"] = name_of(paths.hidden);
    described["direction_groups"] = split.directions;
    described["row_groups"] = split.rows;
    described["unit_groups"] = split.units;
    const plan::LayerWork work = plan.work(layer);
    described["step_columns"] = work.fused_input ? work.hidden_size + work.input_size : work.hidden_size;
    described["bound"] = plan::bound_by_reading(work, split) ? "reading weights" : "multiply-adds";
    layers.append(described);
  }
  py::dict explained;
  explained["isa"] = plan.kernels.isa;
  explained["wavefront"] = plan.wavefront;
  explained["threads"] = plan.threads;
  explained["lanes"] = plan.lanes;
  explained["tile_rows"] = plan.kernels.tile_rows;
  explained["rows"] = plan.rows.total();
  explained["chunk_steps"] = plan.chunk_steps;
  explained["workspace_bytes"] = scratch.elements * static_cast<index_t>(sizeof(Real));
  explained["layers"] = layers;
  return explained;
}

py::dict explain(index_t seq_len, index_t batch, index_t input_size, index_t hidden_size, index_t num_layers,
                 bool bidirectional, const std::vector<index_t>& batch_sizes, const std::vector<index_t>& lengths,
                 int threads, int element_bytes, const std::string& weight_dtype, bool packed, bool even_rows,
                 bool drops) {
  plan::Problem problem;
  problem.dropout = drops ? 0.5 : 0.0;  // any rate
  problem.seq_len = seq_len;
  problem.batch = batch;
  problem.input_size = input_size;
  problem.cell_size = problem.output_size = hidden_size;
  problem.num_layers = num_layers;
  problem.num_directions = bidirectional ? 2 : 1;
  problem.batch_sizes = batch_sizes;
  problem.lengths = lengths;
  problem.threads = threads;
  const plan::WeightDtype of_weights = plan::weight_dtype_named(weight_dtype);
  const Dtype dtype = element_bytes == 4 ? Dtype::float32 : Dtype::float64;
  const plan::Plan plan(problem, dtype, of_weights, packed, /*to_run=*/false);
  return dtype == Dtype::float32 ? describe<float>(plan, packed, even_rows) : describe<double>(plan, packed, even_rows);
}

}  // namespace

void register_explain(py::module_& module) {
  using namespace py::literals;
  module.def("explain", &explain, "seq_len"_a, "batch"_a, "input_size"_a, "hidden_size"_a, "num_layers"_a,
             "bidirectional"_a, "batch_sizes"_a, "lengths"_a, "threads"_a, "element_bytes"_a, "weight_dtype"_a,
             "packed"_a, "even_rows"_a, "drops"_a, "What forward() would do with a call of these sizes.");
}

}  // namespace lstm_native::bindings
