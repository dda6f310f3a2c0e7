package verify

const (
	whyTraining = "training: the Gradient operator is no part of serving"
	whyDFT      = "the expected zeros are the noise of a float32 FFT (up to 2e-7); computed in float64 they are 1e-15, and the tolerance is 1e-7"
	whyJPEG2000 = "JPEG 2000: there is no well-kept decoder in Go"
	whyJPEG     = "expects libjpeg's integer inverse DCT to the bit, which the JPEG standard leaves open; Go's differs by up to 2 of 255 in 3 % of the samples"
)

// skips lists the cases of the standard that are left out, each with its reason.
var skips = map[string]string{
	"test_gradient_of_add":                     whyTraining,
	"test_gradient_of_add_and_mul":             whyTraining,
	"test_dft_inverse":                         whyDFT,
	"test_dft_inverse_opset19":                 whyDFT,
	"test_image_decoder_decode_jpeg2k_rgb":     whyJPEG2000,
	"test_image_decoder_decode_jpeg_rgb":       whyJPEG,
	"test_image_decoder_decode_jpeg_bgr":       whyJPEG,
	"test_image_decoder_decode_jpeg_grayscale": whyJPEG,
}
