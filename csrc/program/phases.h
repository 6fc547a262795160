// Which steps run side by side: a phase is a set of steps none of which needs what another one makes, and between two phases stands
// a barrier. Fewer phases mean less waiting for whoever is last.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace fastnn {

// Steps come node by node, in an order in which they could run one after another. None of a node's steps begins before the one before
// it has ended. A node ends in the phase in which the node before it ended, if it can, and its earlier steps run just before: so three
// products with one operand are packed in one phase and multiplied in the next, and nothing is made long before it is needed.
class Phases {
 public:
  struct Use {
    std::vector<int32_t> reads, writes;  // values; each is written by one node
    bool alone;                          // in its phase
  };

  explicit Phases(size_t values) : written_(values, -1) {}

  // The phases of a node's steps.
  std::vector<int> place(std::span<const Use> steps);

 private:
  std::vector<int> written_;  // per value: the phase that makes it; -1: it is there from the beginning
  int count_ = 0;             // of phases
  int open_ = 0;              // no phase before it takes any more steps
  int last_ = 0;              // in which the node before ended
};

}  // namespace fastnn
