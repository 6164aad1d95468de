// TensorRT-RTX times nothing ahead of time and takes the first layout in its own order, linear
// before all; its convolutions hand on plain kHWC. So that alone is offered: a ResNet-50 has 73
// launches with it, and with a reformat on each side of linear or kHWC8 105 and 131.
// It has no kHWC of bfloat16 and refuses a plugin that offers nothing; linear loses to no plugin
// (107 launches to 84) and is right.
#include "formats.h"

using nvinfer1::DataType;
using nvinfer1::TensorFormat;

bool simam::offers(DataType type, TensorFormat format) noexcept {
    switch (type) {
        case DataType::kFLOAT:
        case DataType::kHALF: return format == TensorFormat::kHWC;
        case DataType::kBF16: return format == TensorFormat::kLINEAR;
        default: return false;
    }
}
