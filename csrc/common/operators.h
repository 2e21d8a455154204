// How operators are called by name, and the shells that give them a gradient.
//
// An operator is described by a struct with its `name`, and its schema as a C++ `Signature`.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/autograd.h>

#include <tuple>

#include "checks.h"

namespace step {

// Calls Op through the dispatcher, which picks the kernel.
template <typename Op, typename Signature = typename Op::Signature>
struct Dispatched;

template <typename Op, typename R, typename... Args>
struct Dispatched<Op, R(Args...)> {
  static constexpr size_t arguments = sizeof...(Args);

  static R call(Args... args) {
    static const auto op =
        c10::Dispatcher::singleton().findSchemaOrThrow(Op::name, "").template typed<R(Args...)>();
    return op.call(args...);
  }
};

inline torch::autograd::variable_list as_list(const at::Tensor& result) {
  return {result};
}

inline torch::autograd::variable_list as_list(const std::tuple<at::Tensor, at::Tensor>& results) {
  return {std::get<0>(results), std::get<1>(results)};
}

inline void from_list(const torch::autograd::variable_list& list, at::Tensor& result) {
  result = list[0];
}

inline void from_list(
    const torch::autograd::variable_list& list, std::tuple<at::Tensor, at::Tensor>& results) {
  results = {list[0], list[1]};
}

// An operator on features and boxes; only the features get a gradient. Op::save keeps what
// Op::gradient needs of boxes, results and parameters.
template <typename Op>
struct Differentiable : torch::autograd::Function<Differentiable<Op>> {
  using Context = torch::autograd::AutogradContext;
  using List = torch::autograd::variable_list;

  template <typename... Params>
  static List forward(
      Context* ctx, const at::Tensor& features, const at::Tensor& boxes, Params... params) {
    at::AutoDispatchBelowADInplaceOrView guard;
    const List results = as_list(Dispatched<Op>::call(features, boxes, params...));
    ctx->saved_data["input_size"] = features.sym_sizes();
    ctx->saved_data["channels_last"] = is_channels_last(features);
    Op::save(ctx, boxes, results, {params...});
    return results;
  }

  static List backward(Context* ctx, const List& grads) {
    List gradients(Dispatched<Op>::arguments);
    gradients[0] = Op::gradient(
        ctx,
        grads[0],
        ctx->saved_data["input_size"].toSymIntVector(),
        ctx->saved_data["channels_last"].toBool());
    return gradients;
  }
};

// The gradient of an operator is an operator of its own, so that compiled graphs can hold it; it
// has no gradient itself.
template <typename Op>
struct LastDerivative : torch::autograd::Function<LastDerivative<Op>> {
  using Context = torch::autograd::AutogradContext;
  using List = torch::autograd::variable_list;

  template <typename... Args>
  static List forward(Context* /*ctx*/, Args&&... args) {
    at::AutoDispatchBelowADInplaceOrView guard;
    return as_list(Dispatched<Op>::call(args...));
  }

  static List backward(Context* /*ctx*/, const List& /*grads*/) {
    TORCH_CHECK_NOT_IMPLEMENTED(false, Op::of, " has no second derivative");
  }
};

// What is registered for the key Autograd: Shell<Op> with Op's signature.
template <template <typename> class Shell, typename Op, typename Signature = typename Op::Signature>
struct AutogradKernel;

template <template <typename> class Shell, typename Op, typename R, typename... Args>
struct AutogradKernel<Shell, Op, R(Args...)> {
  static R call(Args... args) {
    R result;
    from_list(Shell<Op>::apply(args...), result);
    return result;
  }
};

}  // namespace step
