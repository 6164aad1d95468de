// TensorRT times each layout inside the engine and keeps the fastest, reformats included. Its
// tensor-core convolutions take half types as kHWC8; planes of few pixels may do better linear.
#include "formats.h"

using nvinfer1::DataType;
using nvinfer1::TensorFormat;

bool simam::offers(DataType type, TensorFormat format) noexcept {
    bool const half = type == DataType::kHALF || type == DataType::kBF16;
    switch (format) {
        case TensorFormat::kLINEAR: return half || type == DataType::kFLOAT;
        case TensorFormat::kHWC8: return half;
        default: return false;
    }
}
