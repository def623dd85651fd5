// bindings: how many threads a call gets, for tests: the sizer on times and loads that a test makes up, and the threads
// of the last call.
#include <pybind11/pybind11.h>

#include <chrono>

#include "bindings/register.hpp"
#include "common/team_sizer.hpp"
#include "common/thread_budget.hpp"

namespace py = pybind11;

namespace lstm_native::bindings {
namespace {

int made_up_runnable = 0;
int looks = 0;

int count_made_up_runnable() {
  ++looks;
  return made_up_runnable;
}

using Microseconds = std::chrono::microseconds;

TeamTimes::Clock::time_point time_of(long microseconds) {
  return TeamTimes::Clock::time_point{Microseconds{microseconds}};
}

// The times of a region relative to its opening.
struct Region {
  long open, start, body_end, close, barrier_waits;
};

void end(TeamSizer& sizer, int threads, const Region& region) {
  sizer.ended(threads,
              {time_of(region.open), time_of(region.open + region.start), time_of(region.open + region.body_end),
               time_of(region.open + region.close), Microseconds{region.barrier_waits}});
}

}  // namespace

void register_testing_team(py::module_& testing) {
  using namespace py::literals;
  py::class_<Region>(testing, "Region", "Microseconds; all but `open` are counted from there.")
      .def(py::init([](long open, long start, long body_end, long close, long barrier_waits) {
             return Region{open, start, body_end, close, barrier_waits};
           }),
           "open"_a, "start"_a, "body_end"_a, "close"_a, "barrier_waits"_a = 0);
  py::class_<TeamSizer>(testing, "TeamSizer")
      .def(py::init([](int cores) { return TeamSizer(cores, &count_made_up_runnable); }), "cores"_a)
      .def(
          "threads_for",
          [](TeamSizer& sizer, int wanted, long now, int runnable) {
            made_up_runnable = runnable;
            return sizer.threads_for(wanted, time_of(now));
          },
          "wanted"_a, "now"_a, "runnable"_a)
      .def("ended", &end, "threads"_a, "region"_a);
  testing.def("looks", [] { return looks; }, "How often a TeamSizer made here has counted runnable tasks.");
  testing.def("pretend_runnable_tasks", &pretend_runnable_tasks, "count"_a,
              "From now on every look finds `count` runnable tasks; 0: it asks the system.");
  testing.def("last_threads", &ThreadBudget::last_threads, "The threads of the calling thread's last call.");
}

}  // namespace lstm_native::bindings
