// kernels: three different questions about an ISA: is it built, can this CPU run it, is it in use.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernel_table.hpp"

namespace lstm_native::kernels {

struct Implementation {
  const KernelTable* table;
  bool supported;  // by this CPU and its operating system
};

// All that are built, widest first.
const std::vector<Implementation>& built();

// The built and supported table of that name. std::invalid_argument names what could run instead.
const KernelTable& find(const std::string& isa);

// The table in use: the table that the environment variable LSTM_NATIVE_ISA names, else the first supported table. The
// first call decides it, and throws as find() does.
const KernelTable& in_use();

}  // namespace lstm_native::kernels
