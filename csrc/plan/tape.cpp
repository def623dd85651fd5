#include "plan/tape.hpp"

#include <cstring>

#include "common/checked_size.hpp"

namespace lstm_native::plan {

TapeLayout::TapeLayout(const Problem& problem, index_t rows, TapeForm form)
    : directions_(problem.num_directions),
      first_elements_(form == TapeForm::gates ? checked_product({rows, gate_count, problem.cell_size})
                                              : checked_product({rows, problem.output_size})),
      cells_elements_(checked_product({rows, problem.cell_size})),
      projected_elements_(form == TapeForm::gates && problem.projects() ? checked_product({rows, problem.output_size})
                                                                        : 0),
      states_(problem.states()),
      initial_elements_(problem.has_peepholes() ? checked_product({problem.batch, problem.cell_size}) : 0),
      elements_(checked_sum(
          {tape_header_elements, checked_product({problem.num_layers, problem.num_directions,
                                                  checked_sum({first_elements_, cells_elements_, projected_elements_,
                                                               initial_elements_})})})) {
  checked_product({elements_, static_cast<index_t>(sizeof(double))});
}

std::uint32_t cell_fingerprint(const Problem& problem) {
  const auto usual = [](const CellSpec& cell) { return cell.kind == CellKind::standard; };
  const bool drops = problem.recurrent_dropout != 0.0;
  if (!problem.reverse && !drops && usual(problem.cells[0]) && usual(problem.cells[1])) return 0;
  std::uint32_t hash = 2166136261U;  // FNV-1a
  const auto add = [&](const auto& value) {
    unsigned char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    for (const unsigned char byte : bytes) hash = (hash ^ byte) * 16777619U;
  };
  add(problem.reverse);
  if (drops) add(problem.recurrent_dropout);
  for (index_t d = 0; d < problem.num_directions; ++d) {
    const CellSpec& cell = problem.cells[static_cast<std::size_t>(d)];
    add(cell.kind);
    for (const ActivationSpec& activation : {cell.gates, cell.candidate, cell.output}) {
      add(activation.kind);
      add(activation.alpha);
      add(activation.beta);
    }
    add(cell.clip);
    add(cell.input_forget);
    add(cell.peepholes);
  }
  return hash == 0 ? 1 : hash;
}

TapeHeader header_of(const Problem& problem, Dtype dtype, index_t rows, TapeForm form, std::uint64_t dropout_key,
                     std::uint64_t dropout_counter) {
  TapeHeader header{};
  std::memcpy(header.magic, "LSTMTAPE", sizeof header.magic);
  header.version = 1;
  header.element_bytes = static_cast<std::uint32_t>(dtype);
  header.seq_len = problem.seq_len;
  header.batch = problem.batch;
  header.rows = rows;
  header.input_size = problem.input_size;
  header.cell_size = problem.cell_size;
  header.output_size = problem.output_size;
  header.num_layers = problem.num_layers;
  header.num_directions = problem.num_directions;
  header.dropout = problem.dropout;
  header.dropout_key = dropout_key;
  header.dropout_counter = dropout_counter;
  header.elements = TapeLayout(problem, rows, form).elements();
  header.form = form;
  header.cell = cell_fingerprint(problem);
  return header;
}

template <class Real>
void write_header(Real* tape, const Problem& problem, index_t rows, TapeForm form, std::uint64_t dropout_key,
                  std::uint64_t dropout_counter) {
  const TapeHeader header = header_of(problem, dtype_of<Real>, rows, form, dropout_key, dropout_counter);
  std::memset(tape, 0, tape_header_elements * sizeof(Real));
  std::memcpy(tape, &header, sizeof header);
}

template void write_header<float>(float*, const Problem&, index_t, TapeForm, std::uint64_t, std::uint64_t);
template void write_header<double>(double*, const Problem&, index_t, TapeForm, std::uint64_t, std::uint64_t);

}  // namespace lstm_native::plan
