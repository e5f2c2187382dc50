"""What a state is: the records that the whole of SafetyTwin shares."""
