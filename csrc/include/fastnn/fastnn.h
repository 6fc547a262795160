// Everything a C++ application needs of fastnn.
#pragma once

#include "fastnn/errors.h"
#include "fastnn/model.h"
#include "fastnn/runtime.h"
