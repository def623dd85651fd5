// bindings: construction of Python objects, safe where memory runs out at any point.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <utility>

namespace lstm_native::bindings {

// pybind11 enters each new object into a table. If that allocation fails after a plain py::init<...>(), the process
// ends, because no handler encloses it. After a factory, the process ends because the object is released twice. So
// classes are made by a factory, and forget the object if the entry fails.
template <class Class>
struct SafeConstruction {
  template <class... Arguments>
  static auto factory() {
    return pybind11::init(
        [](Arguments... arguments) { return std::make_unique<Class>(std::forward<Arguments>(arguments)...); });
  }

  static void apply(const pybind11::class_<Class, std::unique_ptr<Class>>& type) {
    auto* info = pybind11::detail::get_type_info(reinterpret_cast<PyTypeObject*>(type.ptr()));
    enter = info->init_instance;
    info->init_instance = &enter_or_forget;
  }

 private:
  using Enter = void (*)(pybind11::detail::instance*, const void*);
  static inline Enter enter = nullptr;

  static void enter_or_forget(pybind11::detail::instance* instance, const void* holder) {
    try {
      enter(instance, holder);
    } catch (...) {
      instance->get_value_and_holder().value_ptr() = nullptr;
      throw;
    }
  }
};

}  // namespace lstm_native::bindings
