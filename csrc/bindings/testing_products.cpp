// bindings: the products of packed weights by themselves, of any instruction set, for tests.
#include <pybind11/numpy.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/register.hpp"
#include "common/aligned_buffer.hpp"
#include "kernels/dispatch.hpp"
#include "plan/packed_layout.hpp"
#include "plan/plan.hpp"

namespace py = pybind11;

namespace lstm_native::bindings {
namespace {

using Array = py::array_t<float, py::array::c_style>;

// rows (N, I) times weights (4 * units, I) in a format of integers: (N, 4 * units).
Array project_in_8_bits(const Array& rows, const Array& weights, const std::string& format, const std::string& isa) {
  if (rows.ndim() != 2 || weights.ndim() != 2 || rows.shape(1) != weights.shape(1) || weights.shape(0) % 4 != 0) {
    throw std::invalid_argument("rows, weights: unexpected shapes");
  }
  const kernels::KernelTable& table = kernels::find(isa);
  const auto& step_kernels = table.float32.formats[plan::format_named(table, Dtype::float32, format)];
  const index_t count = rows.shape(0);
  const index_t size = rows.shape(1);
  const index_t units = weights.shape(0) / gate_count;
  const kernels::WeightFormat& of = step_kernels.format;
  const index_t blocks = plan::blocks_of(of, weights.shape(0));
  const index_t row_elements = blocks * gate_count * of.lanes;

  const MatrixView<const float> matrix{weights.data(), weights.shape(0), size, size, 1};
  const index_t block_bytes = plan::block_bytes(of, size);
  const AlignedBuffer packed(blocks * block_bytes);
  for (index_t block = 0; block < blocks; ++block) {
    plan::pack_block(step_kernels, matrix, plan::RowOrder::gates, block, packed.data() + block * block_bytes);
  }
  const std::vector<float> bias(static_cast<std::size_t>(row_elements));
  std::vector<float> sums(static_cast<std::size_t>(count * row_elements));
  std::vector<kernels::StepRow<float>> table_of_rows(static_cast<std::size_t>(count));
  for (index_t r = 0; r < count; ++r) {
    table_of_rows[static_cast<std::size_t>(r)].input = rows.data() + r * size;
    table_of_rows[static_cast<std::size_t>(r)].pre_activations = sums.data() + r * row_elements;
  }
  const index_t stride = 64 + of.input_terms * ((size * of.vector_bytes + 63) / 64 * 64);
  const AlignedBuffer vectors(count * stride);
  kernels::StepForward<float> step;
  step.rows = table_of_rows.data();
  step.row_count = count;
  step.units = units;
  step.end_block = blocks;
  step.input_size = size;
  step.input_weights = packed.data();
  step.bias = bias.data();
  step.vectors = vectors.data();
  step.vector_stride = stride;
  step_kernels.project(step);

  Array result({count, gate_count * units});
  for (index_t r = 0; r < count; ++r) {
    for (index_t gate = 0; gate < gate_count; ++gate) {
      for (index_t unit = 0; unit < units; ++unit) {
        const index_t place = (unit / of.lanes * gate_count + gate) * of.lanes + unit % of.lanes;
        result.mutable_at(r, gate * units + unit) = sums[static_cast<std::size_t>(r * row_elements + place)];
      }
    }
  }
  return result;
}

}  // namespace

void register_testing_products(py::module_& testing) {
  using namespace py::literals;
  testing.def("project_in_8_bits", &project_in_8_bits, "rows"_a, "weights"_a, "format"_a, "isa"_a);
}

}  // namespace lstm_native::bindings
