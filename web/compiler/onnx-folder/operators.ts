import type { Provider } from '../onnx/graph-builder.ts';

/**
 * Operators that the builds of onnxruntime-web 1.30 open a session with, one by one tried: the cases of
 * ONNX's own test suite and one graph for each of Microsoft's, on `/wasm`, `/webgpu` and `/jspi`. What has
 * no kernel on the GPU runs on the processor beside it. Strings and optional values are left out: no
 * diffusion model has any.
 */
const ONNX = words(`
  Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool
  BatchNormalization Bernoulli BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow
  Cast CastLike Ceil Celu CenterCropPad Clip Col2Im Compress Concat ConcatFromSequence Constant
  ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumSum DFT DeformConv DepthToSpace
  DequantizeLinear Det Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike
  Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool
  Greater GreaterOrEqual GridSample GroupNormalization HammingWindow HannWindow HardSigmoid
  HardSwish Hardmax Identity If InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization
  LeakyRelu Less LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul MatMulInteger Max
  MaxPool MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul Multinomial
  Neg NegativeLogLikelihoodLoss NonMaxSuppression NonZero Not OneHot Or PRelu Pad Pow QLinearConv
  QLinearMatMul QuantizeLinear RMSNormalization RNN RandomNormal RandomNormalLike RandomUniform
  RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax
  ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence
  RoiAlign RotaryEmbedding Round STFT Scan Scatter ScatterElements ScatterND Selu SequenceAt
  SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength Shape Shrink Sigmoid
  Sign Sin Sinh Size Slice Softmax SoftmaxCrossEntropyLoss Softplus Softsign SpaceToDepth Split
  SplitToSequence Sqrt Squeeze Sub Sum Swish Tan Tanh TensorScatter ThresholdedRelu Tile TopK
  Transpose Trilu Unique Unsqueeze Upsample Where Xor SimplifiedLayerNormalization
`);

const MICROSOFT = words(`
  Attention BiasGelu CropAndResize DecoderMaskedMultiHeadAttention DequantizeLinear
  DynamicQuantizeMatMul DynamicTimeWarping EmbedLayerNormalization ExpandDims FastGelu FusedConv
  FusedGemm FusedMatMul GatherBlockQuantized Gelu GridSample GroupQueryAttention Inverse
  MatMulBnb4 MatMulFpQ4 MatMulIntegerToFloat MatMulNBits MoE MultiHeadAttention NhwcMaxPool Pad
  QAttention QGemm QLinearAdd QLinearConcat QLinearMul QLinearSigmoid QLinearSoftmax
  QuantizeLinear QuickGelu Range RotaryEmbedding SkipLayerNormalization
  SkipSimplifiedLayerNormalization TransposeMatMul Trilu UnfoldTensor Unique WordConvEmbedding
`);

/** Only WebGPU has kernels for these. */
const MICROSOFT_ON_WEBGPU = words('BiasAdd BiasSplitGelu');

function words(text: string): ReadonlySet<string> {
  return new Set(text.split(/\s+/).filter((word) => word !== ''));
}

/** Whether a provider runs an operator of a domain; '' is ONNX's own. */
export function hasOperator(provider: Provider, domain: string, opType: string): boolean {
  if (domain === '') return ONNX.has(opType);
  if (domain !== 'com.microsoft') return false;
  return MICROSOFT.has(opType) || (provider === 'webgpu' && MICROSOFT_ON_WEBGPU.has(opType));
}

/** Element types (TensorProto.DataType) that the WebGPU builds have no kernels for at all. */
export const NOT_ON_WEBGPU: ReadonlySet<number> = new Set([4, 5, 11]);
