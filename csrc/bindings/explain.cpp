// bindings: what a plan says about a call.
#include <string>

#include "bindings/call.hpp"
#include "bindings/register.hpp"
#include "common/checked_size.hpp"
#include "common/default_threads.hpp"
#include "kernels/dispatch.hpp"
#include "plan/scratch.hpp"

namespace lstm_native::bindings {
namespace {

const char* name_of(plan::WeightPath path) {
  switch (path) {
    case plan::WeightPath::packed:
      return "packed";
    case plan::WeightPath::widened:
      return "widened";
    case plan::WeightPath::packed_per_call:
      return "packed_per_call";
    case plan::WeightPath::in_place:
      return "in_place";
    case plan::WeightPath::blas:
      return "blas";
  }
  return "";
}

// copied: bytes of the weights that are copied for the call.
py::dict describe(const plan::Plan& plan, index_t copied) {
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
    described["projection_weights"] = py::none();
    if (problem.projects()) described["projection_weights"] = name_of(decided.projection_path);
    described["direction_groups"] = decided.split.directions;
    described["row_groups"] = decided.split.rows;
    described["unit_groups"] = decided.split.units;
    described["step_columns"] = decided.work.step_columns();
    described["bound"] = plan::bound_by_reading(decided.work, decided.split) ? "reading weights" : "multiply-adds";
    layers.append(described);
  }
  py::dict explained;
  const kernels::WeightFormat& format = plan::format_of(plan);
  explained["isa"] = plan.kernels.isa;
  explained["format"] = format.name;
  explained["expected_error"] = format.expected_error;
  explained["instructions"] = format.instructions;
  explained["weight_bytes"] = format.bytes;
  explained["columns_at_once"] = format.columns_at_once;
  explained["input_terms"] = format.input_terms;
  explained["wavefront"] = plan.wavefront;
  explained["threads"] = plan.threads;
  explained["lanes"] = plan.lanes;
  explained["tile_rows"] = plan.kernels.tile_rows;
  explained["rows"] = plan.rows.total();
  explained["chunk_steps"] = plan.chunk_steps;
  explained["workspace_bytes"] = scratch_bytes;
  explained["copied_bytes"] = copied;
  explained["layers"] = layers;
  return explained;
}

py::dict explain(py::handle described) {
  Call call = call_of(described);
  const plan::Plan plan = plan_of(call, dtype_of_array(call.input, "input"), /*to_run=*/false);
  return describe(plan, copied_bytes(plan, call.weights));
}

// Describes a call with arrays in C order. format: None where the weights are not packed.
py::dict explain_sizes(py::handle described, bool batch_first, int element_bytes, const py::object& format) {
  plan::Problem problem = description_of(described).problem;
  if (problem.threads == 0) problem.threads = default_threads();
  plan::Storage storage{element_bytes == 4 ? Dtype::float32 : Dtype::float64};
  storage.packed_weights = !format.is_none();
  if (storage.packed_weights) {
    storage.format = plan::format_named(kernels::in_use(), storage.dtype, py::cast<std::string>(format));
  }
  storage.input_time_stride = checked_product({problem.input_size, batch_first ? 1 : problem.batch});
  storage.input_row_stride = checked_product({problem.input_size, batch_first ? problem.seq_len : 1});
  return describe(plan::Plan(std::move(problem), storage, /*to_run=*/false), /*copied=*/0);
}

}  // namespace

void register_explain(py::module_& module) {
  using namespace py::literals;
  module.def("explain", &explain, "call"_a, "What forward() would do with the call.");
  module.def("explain_sizes", &explain_sizes, "problem"_a, "batch_first"_a, "element_bytes"_a, "format"_a,
             "The same for arrays in C order; format: of packed weights.");
}

}  // namespace lstm_native::bindings
