"""The mathematics of char-rnn: recurrent layers and the language model made of them."""
