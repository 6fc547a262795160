// Graph to Program: which kernels, which buffers.
#include <algorithm>
#include <limits>
#include <numeric>

#include "program/passes.h"
#include "program/phases.h"
#include "program/program.h"

namespace fastnn {

namespace {

constexpr int kForever = std::numeric_limits<int>::max();  // read in commit, after all of compute

size_t bytes_of(const TensorType& type) {
  Dims dims = to_dims(type.shape, "plan");
  dims.push_back(static_cast<int64_t>(item_size(type.dtype)));
  return static_cast<size_t>(count(dims));  // throws where a size overflows
}

// Values that share memory are one buffer: views, and results computed in the place of an operand.
struct Buffer {
  size_t bytes = 0;
  int first = kForever, last = -1;  // the phases of compute between which it is alive
  int output = -1;                  // lives in this caller's array instead of the arena
  int64_t offset = 0;
  std::vector<size_t> nodes = {};  // that read or write it
};

class Planner {
 public:
  Planner(Graph graph, Isa isa) : graph_(std::move(graph)), isa_(isa) {
    run_passes(graph_, /*fusion=*/false);
    root_.resize(graph_.values().size());
    std::iota(root_.begin(), root_.end(), 0);
    readers_.resize(graph_.values().size());
  }

  Program build() {
    program_.isa = isa_;
    program_.constants = graph_.constants();
    for (const auto& read : graph_.variables()) program_.variables.push_back(read.variable);
    for (const auto& input : graph_.inputs()) program_.inputs.push_back(graph_.type(input.value));
    for (ValueId output : graph_.outputs()) program_.outputs.push_back(graph_.type(output));

    program_.written.assign(program_.variables.size(), 0);
    for (const auto& binding : graph_.bindings()) program_.written[binding.variable] = 1;

    choose_kernels();
    find_commit_nodes();
    find_preparations();
    find_phases();
    find_lifetimes();
    place_outputs();
    share_in_place();
    assign_offsets();
    emit();
    return std::move(program_);
  }

 private:
  ValueId root(ValueId value) const {
    while (root_[value] != value) value = root_[value];
    return value;
  }
  bool in_memory_of_its_own(ValueId value) const {  // produced by a node, not a view of an input, constant or variable
    return graph_.value(root(value)).origin == Graph::Origin::node;
  }

  void choose_kernels() {
    const auto& nodes = graph_.nodes();
    for (size_t i = 0; i < nodes.size(); ++i) {
      const Node& node = nodes[i];
      Call call = graph_.call_of(node);
      for (ValueId input : node.inputs) {
        if (input != kNoValue) readers_[input].push_back(static_cast<int>(i));
      }
      if (node.op->view) {
        root_[node.outputs[0]] = root(node.inputs[0]);
        plans_.emplace_back();
        program_.calls.push_back({std::move(call), node.source, "view", {}});
        continue;
      }
      // A node without results has nothing to compute, and nothing to do with how many rows of no length it has.
      const bool idle = node.op->explain == nullptr &&
                        std::ranges::all_of(call.outputs, [](const TensorType& type) { return bytes_of(type) == 0; });
      const Variant& variant = choose_variant(call, isa_);
      plans_.push_back(idle ? KernelPlan() : variant.plan(call, isa_));
      const Cost cost = cost_of(call);
      // Rough on purpose: 40 GFLOP/s and 10 GB/s decide only whether waking other threads can pay.
      program_.estimated_seconds += cost.flops / 40e9 + cost.bytes / 10e9;
      program_.calls.push_back({std::move(call), node.source, variant.name, cost});
    }
  }

  // A node whose every result replaces the variable it was computed from, and is read by nobody else, runs in commit, right
  // on the variables: an optimizer's update. The old values may be no other operand of a commit node, not even as a view,
  // and a node that can report an error belongs before the guard.
  void find_commit_nodes() {
    const auto& nodes = graph_.nodes();
    in_commit_.assign(nodes.size(), 0);
    std::vector<ValueId> old_value(graph_.values().size(), kNoValue);  // bound value -> the variable's value before
    for (const auto& binding : graph_.bindings()) {
      ValueId& old = old_value[binding.value];
      old = old == kNoValue ? graph_.variables()[binding.variable].value : -2;  // bound twice: must be copied
    }
    for (ValueId output : graph_.outputs()) old_value[output] = -2;

    for (size_t i = 0; i < nodes.size(); ++i) {
      const auto pairs = in_place_of(program_.calls[i].call);
      bool fits = !nodes[i].op->view && nodes[i].op->explain == nullptr && !pairs.empty();
      for (size_t o = 0; o < nodes[i].outputs.size() && fits; ++o) {
        const ValueId value = nodes[i].outputs[o];
        fits =
            readers_[value].empty() && old_value[value] >= 0 && std::ranges::any_of(pairs, [&](const InPlace& pair) {
              return pair.output == o && pair.input < nodes[i].inputs.size() && nodes[i].inputs[pair.input] == old_value[value];
            });
      }
      in_commit_[i] = fits;
    }
    std::vector<int> reads(graph_.values().size(), 0);  // by commit nodes, per memory
    const auto count_reads = [&](const Node& node, int change) {
      for (ValueId input : node.inputs) {
        if (input != kNoValue) reads[root(input)] += change;
      }
    };
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (in_commit_[i]) count_reads(nodes[i], 1);
    }
    // A node that moves to compute may free a later one to stay; one that stays stays, because reads only become fewer.
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (!in_commit_[i]) continue;
      if (std::ranges::none_of(nodes[i].outputs, [&](ValueId output) { return reads[old_value[output]] > 1; })) continue;
      in_commit_[i] = 0;
      count_reads(nodes[i], -1);
    }
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (!in_commit_[i]) continue;
      for (ValueId output : nodes[i].outputs) root_[output] = old_value[output];
    }
  }

  size_t first_workspace(size_t node) const {  // among an op's buffers
    const Node& at = graph_.nodes()[node];
    return at.outputs.size() + std::max(at.inputs.size(), at.op->inputs.size());
  }

  // Steps that make a workspace of nothing but what no run of this program changes.
  void find_preparations() {
    const auto& nodes = graph_.nodes();
    workspaces_.resize(nodes.size());
    for (size_t i = 0; i < nodes.size(); ++i) {
      workspaces_[i].resize(plans_[i].workspaces.size());
      for (KernelStep& step : plans_[i].steps) {
        if (!step.prepares) continue;
        std::vector<int32_t> variables;
        const auto stays = [&](size_t operand) {
          const size_t k = operand - nodes[i].outputs.size();
          if (operand == kNoOperand) return true;
          if (operand < nodes[i].outputs.size() || k >= nodes[i].inputs.size() || nodes[i].inputs[k] == kNoValue) return false;
          const Graph::Value& origin = graph_.value(root(nodes[i].inputs[k]));
          if (origin.origin == Graph::Origin::variable) variables.push_back(origin.index);
          return origin.origin == Graph::Origin::constant ||
                 (origin.origin == Graph::Origin::variable && program_.written[origin.index] == 0);
        };
        step.prepares = !in_commit_[i] && std::ranges::all_of(step.operands.begin() + 1, step.operands.end(), stays);
        if (!step.prepares) continue;
        const size_t workspace = step.operands[0] - first_workspace(i);
        workspaces_[i][workspace] = {Location::Kind::prepared, static_cast<int64_t>(program_.prepared_bytes)};
        program_.prepared_bytes += align_up(plans_[i].workspaces[workspace]);
        for (int32_t variable : variables) {
          if (std::ranges::count(program_.prepared_from, variable) == 0) program_.prepared_from.push_back(variable);
        }
      }
    }
    if (program_.prepared_bytes > static_cast<size_t>(kMaxBytes)) {
      throw ValueError(
          concat("plan: transformed weights of more than ", kMaxBytes, " bytes; expected fewer; use fewer weights"));
    }
  }

  static bool runs(const KernelStep& step) { return step.tasks > 0 && !step.prepares; }

  bool reads(const Node& node, size_t k) const {
    return node.inputs[k] != kNoValue && std::ranges::count(node.op->shape_only, k) == 0;
  }

  Phases::Use use_of(const Node& node, const KernelStep& step) const {
    Phases::Use use{{}, {}, step.rounds > 1};
    const size_t outputs = node.outputs.size();
    const auto add = [&](size_t operand) {
      if (operand < outputs) {
        use.writes.push_back(node.outputs[operand]);
      } else if (operand - outputs < node.inputs.size() && reads(node, operand - outputs)) {
        use.reads.push_back(root(node.inputs[operand - outputs]));
      }
    };
    if (step.operands.empty()) {
      for (size_t operand = 0; operand < outputs + node.inputs.size(); ++operand) add(operand);
    } else {
      std::ranges::for_each(step.operands, add);
    }
    return use;
  }

  // Nodes of commit do not depend on each other.
  void find_phases() {
    const auto& nodes = graph_.nodes();
    Phases compute(graph_.values().size()), commit(0);
    for (size_t i = 0; i < nodes.size(); ++i) {
      std::vector<Phases::Use> uses;
      for (const KernelStep& step : plans_[i].steps) {
        if (!runs(step)) continue;
        uses.push_back(in_commit_[i] ? Phases::Use{{}, {}, step.rounds > 1} : use_of(nodes[i], step));
      }
      phases_.push_back((in_commit_[i] ? commit : compute).place(uses));
    }
  }

  // From when to when a node needs its operands.
  int begin_of(size_t node) const { return in_commit_[node] ? kForever : phases_[node].empty() ? 0 : phases_[node].front(); }
  int end_of(size_t node) const { return in_commit_[node] ? kForever : phases_[node].empty() ? 0 : phases_[node].back(); }

  Buffer& buffer(ValueId value) { return buffers_[root(value)]; }

  void use(ValueId value, int first, int last) {
    if (!in_memory_of_its_own(value)) return;
    Buffer& b = buffer(value);
    b.first = std::min(b.first, first);
    b.last = std::max(b.last, last);
  }
  void use(ValueId value, size_t node) {
    use(value, begin_of(node), end_of(node));
    if (in_memory_of_its_own(value)) buffer(value).nodes.push_back(node);
  }

  bool is_read(ValueId value) const {
    return !readers_[value].empty() || std::ranges::count(graph_.outputs(), value) > 0 ||
           std::ranges::any_of(graph_.bindings(), [&](const auto& binding) { return binding.value == value; });
  }

  void find_lifetimes() {
    const auto& nodes = graph_.nodes();
    buffers_.resize(graph_.values().size());
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (nodes[i].op->view) continue;
      for (size_t k = 0; k < nodes[i].inputs.size(); ++k) {
        if (reads(nodes[i], k)) use(nodes[i].inputs[k], i);
      }
      if (in_commit_[i]) continue;
      for (size_t o = 0; o < nodes[i].outputs.size(); ++o) {
        const ValueId output = nodes[i].outputs[o];
        const auto& names = nodes[i].op->outputs;  // the last may stand for several
        if (is_optional(names[std::min(o, names.size() - 1)]) && !is_read(output)) continue;
        use(output, i);
        buffer(output).bytes = bytes_of(graph_.type(output));
        program_.intermediate_bytes += align_up(buffer(output).bytes);
      }
    }
    for (const auto& binding : graph_.bindings()) use(binding.value, kForever, kForever);
  }

  // A result the caller asked for is computed in the caller's array, unless it is also somebody else's memory.
  void place_outputs() {
    for (size_t k = 0; k < graph_.outputs().size(); ++k) {
      const ValueId value = graph_.outputs()[k];
      if (in_memory_of_its_own(value) && buffer(value).output < 0) {
        buffer(value).output = static_cast<int>(k);
        use(value, kForever, kForever);
      }
    }
  }

  void share_in_place() {
    const auto& nodes = graph_.nodes();
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (in_commit_[i]) continue;
      for (const InPlace& pair : in_place_of(program_.calls[i].call)) {
        if (pair.input >= nodes[i].inputs.size()) continue;  // left out
        const ValueId input = nodes[i].inputs[pair.input], output = nodes[i].outputs[pair.output];
        if (input == kNoValue || !in_memory_of_its_own(input) || root(output) != output) continue;
        Buffer &from = buffer(input), &to = buffer(output);
        const bool last_reader = from.last == end_of(i) && std::ranges::all_of(from.nodes, [&](size_t node) {
                                   return node == i || end_of(node) < begin_of(i);
                                 });
        const bool read_twice = std::ranges::count_if(nodes[i].inputs, [&](ValueId other) {
                                  return other != kNoValue && root(other) == root(input);
                                }) > 1;
        if (!last_reader || read_twice || from.bytes != to.bytes || (from.output >= 0)) continue;
        from.last = to.last;
        from.output = to.output;
        from.nodes.insert(from.nodes.end(), to.nodes.begin(), to.nodes.end());
        root_[output] = root(input);
      }
    }
  }

  struct Placed {
    size_t bytes;
    int first, last;
    int64_t* offset;
  };

  // Largest first, each at the lowest offset where nothing alive at the same time lies.
  void assign_offsets() {
    std::vector<Placed> wanted;
    for (size_t v = 0; v < buffers_.size(); ++v) {
      Buffer& b = buffers_[v];
      if (root_[v] != static_cast<ValueId>(v) || b.last < 0 || b.output >= 0) continue;
      wanted.push_back({align_up(b.bytes), b.first, b.last, &b.offset});
    }
    for (size_t i = 0; i < plans_.size(); ++i) {
      for (size_t w = 0; w < workspaces_[i].size(); ++w) {
        if (workspaces_[i][w].kind == Location::Kind::prepared) continue;
        workspaces_[i][w].kind = Location::Kind::arena;
        wanted.push_back({align_up(plans_[i].workspaces[w]), begin_of(i), end_of(i), &workspaces_[i][w].at});
      }
    }
    std::ranges::stable_sort(wanted, std::greater(), &Placed::bytes);
    struct Taken {
      size_t begin, end;
      int first, last;
    };
    std::vector<Taken> taken;  // kept in order, and together: otherwise tens of thousands of values would take a minute
    taken.reserve(wanted.size());
    for (const Placed& next : wanted) {
      size_t offset = 0;
      for (const Taken& other : taken) {
        if (other.first > next.last || next.first > other.last) continue;
        if (offset + next.bytes <= other.begin) break;
        offset = std::max(offset, other.end);
      }
      *next.offset = static_cast<int64_t>(offset);
      taken.insert(std::ranges::upper_bound(taken, offset, {}, &Taken::begin),
                   {offset, offset + next.bytes, next.first, next.last});
      program_.arena_bytes = std::max(program_.arena_bytes, offset + next.bytes);
      if (program_.arena_bytes > static_cast<size_t>(kMaxBytes)) {  // no sum of offsets overflows
        throw ValueError(
            concat("plan: intermediate values of more than ", kMaxBytes, " bytes; expected fewer; use smaller arrays"));
      }
    }
  }

  Location locate(ValueId value) const {
    using Kind = Location::Kind;
    if (value == kNoValue) return {};
    const ValueId at = root(value);
    const Graph::Value& origin = graph_.value(at);
    switch (origin.origin) {
      case Graph::Origin::input:
        return {Kind::input, origin.index};
      case Graph::Origin::constant:
        return {Kind::constant, origin.index};
      case Graph::Origin::variable:
        return {Kind::variable, origin.index};
      case Graph::Origin::node:
        break;
    }
    if (buffers_[at].last < 0) return {};  // an optional result that nobody reads
    if (buffers_[at].output >= 0) return {Kind::output, buffers_[at].output};
    return {Kind::arena, buffers_[at].offset};
  }

  void emit() {
    const auto& nodes = graph_.nodes();
    for (size_t i = 0; i < nodes.size(); ++i) {
      std::vector<Location> operands;
      for (ValueId output : nodes[i].outputs) operands.push_back(locate(output));
      for (ValueId input : nodes[i].inputs) operands.push_back(locate(input));
      for (size_t k = nodes[i].inputs.size(); k < nodes[i].op->inputs.size(); ++k) operands.push_back({});
      operands.insert(operands.end(), workspaces_[i].begin(), workspaces_[i].end());
      auto phase = phases_[i].begin();
      for (KernelStep& kernel : plans_[i].steps) {
        program_.scratch_bytes = std::max(program_.scratch_bytes, kernel.scratch_bytes);
        auto& steps = kernel.prepares ? program_.prepare : in_commit_[i] ? program_.commit : program_.compute;
        if (kernel.tasks == 0) continue;
        const int32_t at = kernel.prepares ? static_cast<int32_t>(steps.size()) : *phase++;
        std::vector<Location> chosen;
        for (size_t k : kernel.operands) chosen.push_back(k == kNoOperand ? Location{} : operands[k]);
        steps.push_back({std::move(kernel), chosen.empty() ? operands : std::move(chosen), static_cast<int32_t>(i), at});
      }
    }
    for (auto* steps : {&program_.compute, &program_.commit}) std::ranges::stable_sort(*steps, {}, &Step::phase);
    for (size_t k = 0; k < graph_.outputs().size(); ++k) {
      const Location from = locate(graph_.outputs()[k]);
      const Location to{Location::Kind::output, static_cast<int64_t>(k)};
      if (from == to) continue;
      program_.output_copies.push_back({to, from, bytes_of(graph_.type(graph_.outputs()[k]))});
    }
    for (const auto& binding : graph_.bindings()) {
      const Location from = locate(binding.value), to{Location::Kind::variable, binding.variable};
      if (from == to) continue;
      program_.commit_copies.push_back({to, from, program_.variables[binding.variable]->bytes()});
    }
    // A copy out of a variable must come before that variable is written: reads of old values first is impossible in
    // general (two variables that swap), so such values pass through the arena.
    for (CopyStep& copy : program_.commit_copies) {
      if (copy.from.kind != Location::Kind::variable) continue;
      const Location parked{Location::Kind::arena, static_cast<int64_t>(program_.arena_bytes)};
      program_.output_copies.push_back({parked, copy.from, copy.bytes});
      copy.from = parked;
      program_.arena_bytes += align_up(copy.bytes);
    }
    program_.scratch_bytes = align_up(program_.scratch_bytes);
    if (program_.scratch_bytes > static_cast<size_t>(kMaxBytes)) {
      throw ValueError(concat("plan: ", program_.scratch_bytes, " bytes of scratch memory; expected at most ", kMaxBytes,
                              "; use smaller arrays"));
    }
    program_.lock_order.resize(program_.variables.size());
    std::iota(program_.lock_order.begin(), program_.lock_order.end(), 0);
    std::ranges::sort(program_.lock_order, std::less(), [&](int32_t i) { return program_.variables[i].get(); });
  }

  Graph graph_;
  Isa isa_;
  Program program_;
  std::vector<KernelPlan> plans_;                  // per node
  std::vector<char> in_commit_;                    // per node
  std::vector<std::vector<Location>> workspaces_;  // per node
  std::vector<std::vector<int>> phases_;           // per node: of the steps that run
  std::vector<ValueId> root_;                      // per value: whose memory it uses
  std::vector<std::vector<int>> readers_;          // per value: nodes
  std::vector<Buffer> buffers_;                    // per value, for roots
};

}  // namespace

Program plan(Graph graph, Isa isa) { return Planner(std::move(graph), isa).build(); }

}  // namespace fastnn
