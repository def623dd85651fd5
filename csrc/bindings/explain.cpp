// bindings: what a plan says about a call.
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "bindings/register.hpp"
#include "plan/scratch.hpp"

namespace py = pybind11;

namespace lstm_native::bindings {
namespace {

const char* name_of(plan::WeightPath path) {
  switch (path) {
    case plan::WeightPath::packed:
      return "packed";
    case plan::WeightPath::packed_per_call:
      return "packed_per_call";
    case plan::WeightPath::in_place:
      return "in_place";
    case plan::WeightPath::blas:
      return "blas";
  }
  return "";
}

py::dict describe(const plan::Plan& plan) {
  const plan::Problem& problem = plan.problem;
  const plan::ScratchNeeds needs(plan);
  const index_t scratch_bytes = plan.storage.dtype == Dtype::float32
                                    ? plan::ScratchLayout<float>(plan, needs).elements * index_t{sizeof(float)}
                                    : plan::ScratchLayout<double>(plan, needs).elements * index_t{sizeof(double)};
  py::list layers;
  for (index_t layer = 0; layer < problem.num_layers; ++layer) {
    const plan::LayerPlan& decided = plan.layer(layer);
    py::dict described;
    described["input_size"] = decided.work.input_size;
    described["input_weights"] = name_of(decided.input_path);
    described["recurrent_weights"] = name_of(decided.hidden_path);
    described["direction_groups"] = decided.split.directions;
    described["row_groups"] = decided.split.rows;
    described["unit_groups"] = decided.split.units;
    described["step_columns"] = decided.work.step_columns();
    described["bound"] = plan::bound_by_reading(decided.work, decided.split) ? "reading weights" : "multiply-adds";
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
  explained["workspace_bytes"] = scratch_bytes;
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
  plan::Storage storage{dtype, of_weights, packed};
  if (even_rows) storage.input_time_stride = batch * input_size;
  if (even_rows) storage.input_row_stride = input_size;
  return describe(plan::Plan(problem, storage, /*to_run=*/false));
}

}  // namespace

void register_explain(py::module_& module) {
  using namespace py::literals;
  module.def("explain", &explain, "seq_len"_a, "batch"_a, "input_size"_a, "hidden_size"_a, "num_layers"_a,
             "bidirectional"_a, "batch_sizes"_a, "lengths"_a, "threads"_a, "element_bytes"_a, "weight_dtype"_a,
             "packed"_a, "even_rows"_a, "drops"_a, "What forward() would do with a call of these sizes.");
}

}  // namespace lstm_native::bindings
