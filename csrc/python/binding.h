// What the files of the binding share.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>

#include "base/errors.h"
#include "base/extent.h"
#include "fastnn/dtype.h"

namespace fastnn {

// ---- Values between the two languages (module.cpp) ------------------------------------------------------------------------

pybind11::dtype to_numpy(DType dtype);
DType dtype_of(const pybind11::array& array, const std::string& where);  // TypeError if the library has none like it
Dims dims_of(const pybind11::array& array);
pybind11::array contiguous(const pybind11::array& array);  // itself, or a C-contiguous copy of it

// ---- Files (file.cpp) -----------------------------------------------------------------------------------------------------

void define_files(pybind11::module_& m);

// Messages may name paths, which may hold any bytes.
void set_error(PyObject* type, const char* message);
void set_os_error(const IoError& error);

}  // namespace fastnn
