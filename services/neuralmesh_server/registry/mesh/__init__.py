"""Edge nodes: what each is to hold, the streams that keep it so, waves of promotions, and what is known of them."""
