// A graph as JSON and back; docs/file-format.md describes the form.
//
// Values are numbered without being named: inputs, constants, variables, then what every node returns, each in order. Types of
// results are not written: the shape rules run again when a graph is read, and are the only authority.
// Reading refuses, with ValueError naming the place, whatever does not fit: unknown ops, attributes, dtypes and keys, values that
// are not defined yet, operands that a shape rule throws at, tensors that the file lacks or that one graph names twice.
// Memory: at most some hundred bytes for each of two million lengths, and the constants and variables.
#pragma once

#include <map>
#include <span>
#include <string>

#include "file/json.h"
#include "file/safetensors.h"
#include "program/graph.h"

namespace fastnn {

// The graph with tensor names for its variables and constants, one each, in the graph's order. Lines of Python are left out.
Json graph_to_json(const Graph& graph, std::span<const std::string> variables, std::span<const std::string> constants);

// The Variables of a file, by tensor: graphs that name the same one share it.
using FileVariables = std::map<std::string, VariablePtr, std::less<>>;

// Its tensors are those of `file`; the Variables that it needs are found in `variables` or made there.
Graph graph_from_json(const JsonRef& json, const Safetensors& file, FileVariables& variables);

}  // namespace fastnn
